"""Batches: what the owner of a batch does with it: create, look, read its results, cancel, try again, delete.

What the service does by itself, ordering the jobs, is in batch_rounds.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import case, delete, func, insert, select, update
from sqlalchemy.orm import Session, defer

from interleaf.errors import InterleafError, InvalidRequest, JobActive, ObjectUnknown, QuotaReached, error_to_record
from workers.store.batch import Batch, BatchItem, ItemState
from workers.store.batch_order import MAX_CHARS, BatchOrder, brief_of_fields, chars_in, fields_of_item
from workers.store.batch_rounds import BatchRounds
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import is_id, made_at, new_id
from workers.store.job import Job
from workers.store.job_transitions import JobState
from workers.store.kept_uploads import keep_uploads, release_uploads, uploads_in, uploads_of_batch
from workers.store.libraries import Libraries
from workers.store.schedule_order import brief_uploads
from workers.store.tables import BatchItemRow, BatchRow, JobRow
from workers.store.uploads import require_uploads

__all__ = ["MAX_BATCHES", "Batches", "CheckedBatch", "counts_of"]

MAX_BATCHES: Final = 1_000
"""Of one key."""

# An owner that cancels waits for so many rounds; the service does the rest.
_ROUNDS_AT_ONCE: Final = 4
_TRIED_AGAIN: Final[tuple[JobState, ...]] = ("failed", "expired", "canceled")


@dataclass(frozen=True)
class CheckedBatch:
    """An order all of whose items were looked at."""

    id: str
    order: BatchOrder
    errors: Mapping[int, Mapping[str, Any]]
    """By number, why an item is refused, as `interleaf.errors.error_to_record` writes it."""


class Batches:
    """The batches of all owners. Another owner's is ObjectUnknown. Every method may raise ServiceAway."""

    def __init__(
        self, database: Database, rounds: BatchRounds, *, upload_kept: timedelta, clock: Clock = utc_now
    ) -> None:
        """`upload_kept`: how long an upload stays once nothing names it any more."""
        self._database = database
        self._rounds = rounds
        self._libraries = Libraries(database, clock=clock)
        self._upload_kept = upload_kept
        self._clock = clock

    def check(self, owner: str, order: BatchOrder) -> CheckedBatch:
        """Look at every item before anything is written. What is wrong with the brief of an item is that item's error;
        a batch may consist of nothing else.

        InvalidRequest names what is wrong with the batch itself."""
        order.require()
        batch_id = new_id("bat", self._clock())
        errors: dict[int, Mapping[str, Any]] = {}
        chars, least = 0, chars_in(order.brief)
        with self._database.reading() as session:
            for number, item in enumerate(order.items, 1):
                try:
                    fields = fields_of_item(order.kind, order.brief, item.variables, made_at(batch_id), number)
                    chars += chars_in(fields)
                    brief = brief_of_fields(fields)
                    require_uploads(session, brief_uploads(brief), owner, self._clock())
                    self._libraries.resolve(owner, brief.libraries)
                except InterleafError as error:
                    if error.http_status >= 500:
                        raise
                    errors[number] = error_to_record(error)
                chars += least  # what is refused takes its time, too
                if chars > MAX_CHARS:
                    raise InvalidRequest(
                        "items",
                        f"make more than {MAX_CHARS} characters of briefs together.",
                        "Send long notes with POST /v1/uploads, or make several batches.",
                    )
        return CheckedBatch(batch_id, order, errors)

    def create(self, owner: str, checked: CheckedBatch) -> Batch:
        """The batch with all its items, in one transaction; jobs come in rounds. Uploads that it names do not expire
        before it has ended. QuotaReached when the key has too many batches."""
        order, now = checked.order, made_at(checked.id)  # to the millisecond, so that ids and times have one order
        with self._database.transaction() as session:
            count = session.scalar(select(func.count()).select_from(BatchRow).where(BatchRow.owner == owner)) or 0
            if count >= MAX_BATCHES:
                raise QuotaReached("batches", f"this key has {count} of {MAX_BATCHES}.", "Delete some.")
            good = [item.variables for number, item in enumerate(order.items, 1) if number not in checked.errors]
            if good:
                keep_uploads(session, owner, uploads_in(order.brief, *good), now)
            row = BatchRow(
                id=checked.id,
                owner=owner,
                kind=order.kind,
                name=order.name,
                brief=dict(order.brief),
                meta=dict(order.metadata),
                item_count=len(order.items),
                created_at=now,
                canceled_at=None,
                open_since=now if len(checked.errors) < len(order.items) else None,
                ended_at=None,
            )
            session.add(row)
            session.flush()
            session.execute(
                insert(BatchItemRow),
                [
                    {
                        "batch_id": row.id,
                        "number": number,
                        "custom_id": item.custom_id,
                        "variables": dict(item.variables),
                        "job_id": None,
                        "error": checked.errors.get(number),
                        "retry_of": None,
                    }
                    for number, item in enumerate(order.items, 1)
                ],
            )
            return _shown(session, row)

    def advance(self, batch_id: str) -> list[Job]:
        """The first round of a batch that was just made, so that nobody waits for the service's next one: the jobs."""
        return self._rounds.advance(batch_id) or []

    def get(self, batch_id: str, owner: str) -> Batch:
        """ObjectUnknown."""
        with self._database.reading() as session:
            return _shown(session, _found(session, batch_id, owner))

    def list(self, owner: str, limit: int, after: str | None = None, before: str | None = None) -> list[Batch]:
        """At most `limit` batches without their briefs, newest first; older than `after`, or, oldest first, newer than
        `before`."""
        order = BatchRow.id.desc() if before is None else BatchRow.id.asc()
        wanted = select(BatchRow).where(BatchRow.owner == owner).options(defer(BatchRow.brief, raiseload=True))
        if after is not None:
            wanted = wanted.where(BatchRow.id < after)
        if before is not None:
            wanted = wanted.where(BatchRow.id > before)
        with self._database.reading() as session:
            rows = session.scalars(wanted.order_by(order).limit(limit)).all()
            counts = counts_of(session, [row.id for row in rows])
            return [Batch.of_row(row, counts[row.id], {}) for row in rows]

    def items(
        self, batch_id: str, owner: str, limit: int, after: int | None = None, before: int | None = None
    ) -> Sequence[BatchItem]:
        """At most `limit` items, the first first; behind the number `after`, or, the last first, in front of `before`.
        ObjectUnknown."""
        wanted = _ITEMS.where(BatchItemRow.batch_id == batch_id)
        if after is not None:
            wanted = wanted.where(BatchItemRow.number > after)
        if before is not None:
            wanted = wanted.where(BatchItemRow.number < before)
        order = BatchItemRow.number.asc() if before is None else BatchItemRow.number.desc()
        with self._database.reading() as session:
            canceled = _found(session, batch_id, owner, brief=False).canceled_at is not None
            return [
                BatchItem.of_rows(item, job, canceled)
                for item, job in session.execute(wanted.order_by(order).limit(limit))
            ]

    def items_named(self, batch_id: str, owner: str, numbers: Sequence[int]) -> Sequence[BatchItem]:
        """The items of these numbers, in their order. ObjectUnknown when the batch is gone."""
        wanted = _ITEMS.where(BatchItemRow.batch_id == batch_id, BatchItemRow.number.in_(numbers))
        with self._database.reading() as session:
            canceled = _found(session, batch_id, owner, brief=False).canceled_at is not None
            found = {item.number: BatchItem.of_rows(item, job, canceled) for item, job in session.execute(wanted).all()}
        return [found[number] for number in numbers if number in found]

    def reports(self, batch_id: str, owner: str) -> dict[int, Mapping[str, Any] | None]:
        """By number, the report of each item's piece as its job tells it; None where there is none. ObjectUnknown."""
        wanted = (
            select(BatchItemRow.number, JobRow.result)
            .outerjoin(JobRow, JobRow.id == BatchItemRow.job_id)
            .where(BatchItemRow.batch_id == batch_id)
            .order_by(BatchItemRow.number)
        )
        with self._database.reading() as session:
            _found(session, batch_id, owner, brief=False)
            return {number: (result or {}).get("report") for number, result in session.execute(wanted)}

    def cancel(self, batch_id: str, owner: str) -> Batch:
        """Order nothing more, and stop the jobs that have not ended: many at once, the rest in the service's rounds.
        One that is canceled, or has ended, is left as it is. ObjectUnknown."""
        now = self._clock()
        with self._database.transaction() as session:
            row = _found(session, batch_id, owner, lock=True)
            if row.canceled_at is None and not _shown(session, row).ended:
                row.canceled_at = row.open_since = now
                session.flush()
        for _ in range(_ROUNDS_AT_ONCE):
            if not self._rounds.advance(batch_id):
                break
        return self.get(batch_id, owner)

    def retry(self, batch_id: str, owner: str) -> Batch:
        """Make the pieces that failed, expired or were canceled: each goes on where it stopped. Items whose brief was
        refused stay refused: it would be refused again.

        ObjectUnknown; JobActive while jobs of it are still to be canceled."""
        now = self._clock()
        with self._database.transaction() as session:
            row = _found(session, batch_id, owner, lock=True)
            counts = counts_of(session, [row.id])[row.id]
            if row.canceled_at is not None and (row.open_since is not None or "canceling" in counts):
                raise JobActive(batch_id, "is still being canceled.", "Try again in a moment.")
            ended = select(JobRow.id).where(JobRow.id == BatchItemRow.job_id, JobRow.state.in_(_TRIED_AGAIN))
            session.execute(
                update(BatchItemRow)
                .where(BatchItemRow.batch_id == row.id, ended.exists())
                .values(retry_of=BatchItemRow.job_id, job_id=None),
                execution_options={"synchronize_session": False},
            )
            if any(counts.get(state) for state in _TRIED_AGAIN):
                row.canceled_at, row.ended_at, row.open_since = None, None, now
                keep_uploads(session, owner, uploads_of_batch(session, row), now)
            session.flush()
            session.expire_all()
            return _shown(session, row)

    def delete(self, batch_id: str, owner: str) -> None:
        """The record with its items. Jobs that it ordered stay and go on; what it has not ordered yet is not ordered
        any more, and uploads that nothing else names expire as if they were sent now. ObjectUnknown."""
        now = self._clock()
        with self._database.transaction() as session:
            row = _found(session, batch_id, owner, lock=True)
            if row.ended_at is None:
                named = uploads_of_batch(session, row)
                release_uploads(session, owner, named, now + self._upload_kept, but=batch_id)
            session.execute(
                delete(BatchRow).where(BatchRow.id == row.id), execution_options={"synchronize_session": False}
            )


_ITEMS: Final = select(BatchItemRow, JobRow).outerjoin(JobRow, JobRow.id == BatchItemRow.job_id)


def _found(session: Session, batch_id: str, owner: str, *, lock: bool = False, brief: bool = True) -> BatchRow:
    row = None
    if is_id("bat", batch_id):
        wanted = select(BatchRow).where(BatchRow.id == batch_id, BatchRow.owner == owner)
        if not brief:
            wanted = wanted.options(defer(BatchRow.brief))
        row = session.scalars(wanted.with_for_update() if lock else wanted).one_or_none()
    if row is None:
        raise ObjectUnknown(batch_id, "there is no such batch of yours.", "List them with GET /v1/batches.")
    return row


def _shown(session: Session, row: BatchRow) -> Batch:
    return Batch.of_row(row, counts_of(session, [row.id])[row.id], row.brief)


def counts_of(session: Session, batch_ids: Sequence[str]) -> dict[str, dict[ItemState, int]]:
    """By batch, how many items are in each state: the rule of `BatchItem.of_rows`, as a statement."""
    state = case(
        (BatchItemRow.error.is_not(None), "refused"),
        (BatchItemRow.job_id.is_(None) & BatchRow.canceled_at.is_not(None), "canceled"),
        (BatchItemRow.job_id.is_(None), "waiting"),
        (JobRow.id.is_(None), "deleted"),
        else_=JobRow.state,
    )
    wanted = (
        select(BatchItemRow.batch_id, state, func.count())
        .join(BatchRow, BatchRow.id == BatchItemRow.batch_id)
        .outerjoin(JobRow, JobRow.id == BatchItemRow.job_id)
        .where(BatchItemRow.batch_id.in_(batch_ids))
        .group_by(BatchItemRow.batch_id, state)
    )
    found: dict[str, dict[ItemState, int]] = {batch_id: {} for batch_id in batch_ids}
    for batch_id, item_state, count in session.execute(wanted):
        found[batch_id][item_state] = count
    return found
