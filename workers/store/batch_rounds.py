"""Batch rounds: the service's side of batches: orders the jobs of their items as there is room, and cancels them.

Run it every few seconds, in as many processes as you like. A batch is written down whole when it is made; its jobs come
in rounds of a few, each in one transaction that holds the batch's row and writes the job beside its item. So a process
that dies on the way has ordered a round or nothing of it, the next one goes on, and no item has two jobs.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from interleaf.errors import (
    DayQuotaReached,
    InterleafError,
    JobActive,
    JobFinal,
    JobUnknown,
    ServiceAway,
    error_to_record,
)
from workers.store.batch_order import BATCH, ITEM, BatchKind, brief_of_fields, fields_of_item
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.job import Job
from workers.store.job_transitions import FINAL, STATES, JobState
from workers.store.jobs import Jobs
from workers.store.ledger import standing_of
from workers.store.libraries import Libraries
from workers.store.schedule_order import brief_uploads
from workers.store.tables import ApiKeyRow, BatchItemRow, BatchRow, JobRow
from workers.store.uploads import require_uploads

__all__ = ["ROUND_ITEMS", "BatchRounds"]

log = logging.getLogger(__name__)

ROUND_ITEMS: Final = 50
"""Items in one transaction: others want to write, too."""
PUT_OFF: Final = timedelta(minutes=1)
"""When a batch at which this program failed is looked at again: others must not wait for it."""

_LIVE: Final[tuple[JobState, ...]] = tuple(state for state in STATES if state not in FINAL)
_STOPPABLE: Final[tuple[JobState, ...]] = tuple(state for state in _LIVE if state != "canceling")


class BatchRounds:
    """Every method may raise ServiceAway."""

    def __init__(
        self, database: Database, jobs: Jobs, *, max_active: int, max_queued: int, clock: Clock = utc_now
    ) -> None:
        """`max_active`: jobs of a key that have not ended, where it has no quota of its own; `max_queued`: of all.
        Batches fill up half of each, so that there is room for single orders beside them."""
        self._database = database
        self._jobs = jobs
        self._libraries = Libraries(database, clock=clock)
        self._max_active = max_active
        self._max_queued = max_queued
        self._clock = clock

    def step(self, limit: int = 100) -> int:
        """One round of no more than `limit` batches; how many of them moved on. Of each key the oldest batch that is to
        be ordered, and all that are to be canceled. What goes wrong with one is logged, and holds up no other."""
        due = BatchRow.open_since <= self._clock()
        oldest = select(func.min(BatchRow.id)).where(due, BatchRow.canceled_at.is_(None)).group_by(BatchRow.owner)
        stopped = select(BatchRow.id).where(due, BatchRow.canceled_at.is_not(None)).order_by(BatchRow.id)
        with self._database.reading() as session:
            ids = list(session.scalars(stopped.limit(limit)))
            ids += session.scalars(oldest.order_by(func.min(BatchRow.id)).limit(limit - len(ids))) if limit else ()
        moved = 0
        for batch_id in ids:
            try:
                moved += self.advance(batch_id) is not None
            except ServiceAway:
                raise
            except Exception:  # a mistake about one batch is not to stop all others
                log.exception("batch %s is put off", batch_id)
                self._put_off(batch_id)
        return moved

    def advance(self, batch_id: str) -> list[Job] | None:
        """One round of one batch: the jobs that it ordered or canceled; None when there was nothing that could be done
        now, or another process is at it."""
        wanted = select(BatchRow).where(BatchRow.id == batch_id, BatchRow.open_since.is_not(None))
        try:
            with self._database.transaction() as session:
                row = session.scalars(wanted.with_for_update(skip_locked=True)).one_or_none()
                if row is None:
                    return None
                stopped = row.canceled_at is not None
                return self._cancel_some(session, row) if stopped else self._order_some(session, row)
        except DayQuotaReached:  # others of the key took the room in this moment; the items wait for the next round
            return None

    def _order_some(self, session: Session, row: BatchRow) -> list[Job] | None:
        room = self._room(session, row)
        waiting = select(BatchItemRow).where(
            BatchItemRow.batch_id == row.id, BatchItemRow.job_id.is_(None), BatchItemRow.error.is_(None)
        )
        if room is None:  # a key that was revoked does not come back
            log.info("batch %s ends: its key was revoked", row.id)
            row.canceled_at, row.open_since = self._clock(), None  # jobs that are there go on, as all of that key do
            return []
        if room == 0:
            return None
        ordered: list[Job] = []
        items = session.scalars(waiting.order_by(BatchItemRow.number).limit(ROUND_ITEMS + 1)).all()
        for item in items[: min(room, ROUND_ITEMS)]:
            job = self._order(session, row, item)
            if job is not None:
                ordered.append(job)
        if len(items) <= min(room, ROUND_ITEMS):
            row.open_since = None
        session.flush()
        return ordered

    def _room(self, session: Session, row: BatchRow) -> int | None:
        """How many jobs of the key may be ordered now, its quotas of the day included; None when it was revoked."""
        quota, revoked_at = session.execute(
            select(ApiKeyRow.max_active_jobs, ApiKeyRow.revoked_at).where(ApiKeyRow.id == row.owner)
        ).one()
        if revoked_at is not None:
            return None
        most = self._max_active if quota is None else quota
        free = _half(most) - self._jobs.count(_LIVE, row.owner)
        today = standing_of(session, row.owner, self._clock()).jobs_left
        if today is not None:
            free = min(free, today)
        return max(0, min(free, _half(self._max_queued) - self._jobs.count(("queued",))))

    def _order(self, session: Session, row: BatchRow, item: BatchItemRow) -> Job | None:
        """The job of an item, or why there is none, written beside it."""
        before, item.retry_of = item.retry_of, None
        try:
            with self._database.transaction():  # of a job that cannot be made nothing is left
                job = self._made(session, row, item, before)
        except ServiceAway:
            raise
        except (JobActive, JobFinal):
            # Somebody tries that very job again by hand, or it is not one to be tried again: it stays what it was.
            item.job_id = before
            return None
        except InterleafError as error:
            item.error = error_to_record(error)
            log.info("batch %s, item %d: %s", row.id, item.number, error.message)
            return None
        item.job_id = job.id
        return job

    def _made(self, session: Session, row: BatchRow, item: BatchItemRow, before: str | None) -> Job:
        if before is not None:
            with suppress(JobUnknown):  # deleted meanwhile: it is made from the beginning
                return self._jobs.retry(before, row.owner)
        kind = cast(BatchKind, row.kind)
        brief = brief_of_fields(fields_of_item(kind, row.brief, item.variables, row.created_at, item.number))
        require_uploads(session, brief_uploads(brief), row.owner, self._clock())
        self._libraries.resolve(row.owner, brief.libraries)
        metadata: dict[str, Any] = {**row.meta, BATCH: row.id, ITEM: item.custom_id}
        return self._jobs.create(row.owner, brief.kind, brief.model_dump(mode="json"), metadata=metadata)

    def _cancel_some(self, session: Session, row: BatchRow) -> list[Job]:
        mine = select(BatchItemRow.job_id).where(BatchItemRow.batch_id == row.id)
        wanted = select(JobRow.id).where(JobRow.id.in_(mine), JobRow.state.in_(_STOPPABLE)).order_by(JobRow.id)
        ids = session.scalars(wanted.limit(ROUND_ITEMS + 1)).all()
        stopped: list[Job] = []
        for job_id in ids[:ROUND_ITEMS]:
            with suppress(JobFinal, JobUnknown):  # it ended in this moment, which is as good
                stopped.append(self._jobs.cancel(job_id, row.owner))
        if len(ids) <= ROUND_ITEMS:
            row.open_since = None
        session.flush()
        return stopped

    def _put_off(self, batch_id: str) -> None:
        now: datetime = self._clock()
        with self._database.transaction() as session:
            session.execute(
                update(BatchRow)
                .where(BatchRow.id == batch_id, BatchRow.open_since <= now)
                .values(open_since=now + PUT_OFF)
            )


def _half(most: int) -> int:
    """Rounded up: a key that may have one job at a time has it for its batches, too."""
    return (most + 1) // 2
