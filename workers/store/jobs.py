"""Jobs: what the owner of a job does with it: create, look, answer, cancel, try again, delete.

What a worker does is in leases.py, what the service does by itself in outbox.py and reconciler.py. All of them
change a job through job_moves.py only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import bindparam, delete, exists, func, select
from sqlalchemy.orm import Session

from interleaf.errors import InvalidRequest, JobActive, JobFinal, JobUnknown, RequestStale, shown
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.events import first_event
from workers.store.ids import is_id, made_at, new_id, new_run_id
from workers.store.job import Job
from workers.store.job_label import require_external_id, require_kind, require_metadata
from workers.store.job_moves import change, move, state_is
from workers.store.job_query import JobPage, JobQuery, list_jobs
from workers.store.job_transitions import FINAL, JobState
from workers.store.ledger import Amounts, account
from workers.store.new_rows import insert_with_parts
from workers.store.tables import ArtifactRow, DocumentRow, JobBriefRow, JobEventRow, JobRow, Row

__all__ = ["DEFAULT_MAX_ATTEMPTS", "Action", "Deletion", "Jobs"]

DEFAULT_MAX_ATTEMPTS: Final = 3

Action = Literal["approve", "edit", "cancel"]
"""What a person may say to a question: the decisions of agents/approve.py."""


@dataclass(frozen=True)
class Deletion:
    """What was deleted, and which files have nobody left. Remove them after the transaction is committed."""

    job: Job
    file_keys: tuple[str, ...]
    """Files of the job's artifacts that no other artifact uses."""
    run_is_free: bool
    """Whether no other job and no document uses the run folder `job.run_id`."""


class Jobs:
    """The jobs of all owners. Whoever asks for another owner's job gets JobUnknown, as if it were not there.

    Several calls inside one `database.transaction()` happen wholly or not at all. Every method may raise ServiceAway.
    """

    def __init__(
        self, database: Database, *, clock: Clock = utc_now, caller_sends: Callable[[], bool] = lambda: False
    ) -> None:
        """`caller_sends`, asked for each job that is made: whether the caller sends its message as soon as the job is
        committed, and puts it back (`Outbox.put_back`) when it cannot. The job then counts as sent from its beginning,
        and nobody else needs to write that down."""
        self._database = database
        self._clock = clock
        self._caller_sends = caller_sends

    def create(
        self,
        owner: str,
        kind: str,
        brief: Mapping[str, Any],
        *,
        metadata: Mapping[str, str] | None = None,
        external_id: str | None = None,
        expires_at: datetime | None = None,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        follows: bool = False,
    ) -> Job:
        """A new job in state queued, with the event job.queued. When this returns, the job is not lost any more.

        `owner` is the id of a key that exists. `brief` is JSON-simple and was validated by the caller. `expires_at`:
        a job that has not begun by then expires. `follows`: it is a part of work that was taken in before, and is not
        held against the key's quotas of the day. InvalidRequest when a label breaks its limits (job_label.py);
        DayQuotaReached, at the end of the transaction (also of `retry` and `rerun`).
        """
        run_id = new_run_id(of_job=True)
        return self._create(
            owner, kind, brief, metadata or {}, external_id, expires_at, max_attempts, run_id, follows=follows
        )

    def get(self, job_id: str, owner: str) -> Job:
        """The job as it is now. JobUnknown."""
        with self._database.reading() as session:
            return Job.of_row(_found(session, job_id, owner))

    def brief(self, job_id: str, owner: str) -> dict[str, Any]:
        """What the job was asked. JobUnknown."""
        with self._database.reading() as session:
            return _brief_of(session, _found(session, job_id, owner).id)

    def list(self, owner: str, query: JobQuery | None = None) -> JobPage:
        """A page of the owner's jobs, newest first. InvalidRequest names the field of the query that is wrong."""
        with self._database.reading() as session:
            return list_jobs(session, owner, query or JobQuery())

    def count(self, states: Sequence[JobState], owner: str | None = None) -> int:
        """How many jobs are in one of these states, of one owner or of all: for quotas and a full queue."""
        wanted = select(func.count()).select_from(JobRow).where(JobRow.state.in_(states))
        with self._database.reading() as session:
            return session.scalar(wanted if owner is None else wanted.where(JobRow.owner == owner)) or 0

    def waiting_since(self) -> datetime | None:
        """Since when the job that has waited longest in the queue has been there; None when none waits."""
        with self._database.reading() as session:
            first: datetime | None = session.scalar(select(func.min(JobRow.queued_at)).where(JobRow.state == "queued"))
            return first

    def answer(
        self,
        job_id: str,
        owner: str,
        request_id: str,
        action: Action,
        data: Mapping[str, Any] | None = None,
        *,
        check: Callable[[Mapping[str, Any], Mapping[str, Any]], None] | None = None,
    ) -> Job:
        """Answer the question `request_id` of a job that awaits input.

        The answer is kept as `{"decision": action, **data}`, with the event job.answered, and the job is to be sent to
        a worker; `cancel` cancels it at once. `check(question, answer)` may refuse the answer by raising: the job then
        goes on waiting. JobUnknown; JobFinal; RequestStale when another question is open, or none; InvalidRequest
        when `action` is none.
        """
        if action not in get_args(Action):
            raise InvalidRequest("action", f"{shown(action)!r} is not an answer.", "Say approve, edit or cancel.")
        answer = {**(data or {}), "decision": action}
        now = self._clock()
        with self._database.transaction() as session:
            row = _locked(session, job_id, owner)
            if row.state in FINAL:
                raise JobFinal(job_id, f"has ended ({row.state}).", "Create a new job.")
            if row.state != "awaiting_input" or row.request_id != request_id or row.answered_at is not None:
                raise RequestStale(
                    request_id,
                    f"is not what job {job_id} asks now (it is {row.state}).",
                    "Read what it asks with GET /v1/jobs/{id}/input, and answer that.",
                )
            if check is not None:
                check(row.question or {}, answer)
            if action == "cancel":
                return self._cancel_waiting(session, job_id, now)
            return _certain(
                change(
                    session,
                    job_id,
                    now,
                    state_is("awaiting_input"),
                    event="job.answered",
                    data={"state": "awaiting_input", "request_id": request_id, "decision": action},
                    values={"answer": answer, "answered_at": now, "dispatched_at": None, "input_deadline": None},
                )
            )

    def cancel(self, job_id: str, owner: str) -> Job:
        """Stop the job: at once when nobody works on it (canceled), else as soon as its worker sees it (canceling).

        A job that is being canceled is left as it is. JobUnknown; JobFinal when it has ended, in whatever way.
        """
        now = self._clock()
        with self._database.transaction() as session:
            row = _locked(session, job_id, owner)
            if row.state in FINAL:
                raise JobFinal(job_id, f"has ended ({row.state}).", "There is nothing to cancel.")
            if row.state == "canceling":
                return Job.of_row(row)
            if row.state == "queued":
                return _certain(move(session, job_id, "canceled", now))
            if row.state == "awaiting_input":
                return self._cancel_waiting(session, job_id, now)
            return _certain(move(session, job_id, "canceling", now))

    def retry(self, job_id: str, owner: str) -> Job:
        """A new job that goes on where this one stopped: same brief and labels, same run folder with its checkpoints,
        and a rerun still of what it was a rerun of.

        JobUnknown; JobActive when the job has not ended, or another job works on its run already; JobFinal when it
        succeeded (there is nothing to go on with; `rerun` does it anew).
        """
        with self._database.transaction() as session:
            row = _locked(session, job_id, owner)
            if row.state not in FINAL:
                raise JobActive(job_id, f"has not ended yet (it is {row.state}).", "Wait, or cancel it first.")
            if row.state == "succeeded":
                raise JobFinal(job_id, "succeeded; there is nothing to try again.", "Use rerun to do it anew.")
            brief = _brief_of(session, job_id)
            return self._create(
                owner,
                row.kind,
                brief,
                row.meta,
                row.external_id,
                None,
                row.max_attempts,
                row.run_id,
                retry_of=job_id,
                rerun_of=row.rerun_of,
            )

    def rerun(self, job_id: str, owner: str, brief: Mapping[str, Any] | None = None) -> Job:
        """A new job from the beginning, with the same labels and the same brief, or with another one.

        The caller merges overrides into `Jobs.brief` and validates the whole; what is handed in replaces the old one.
        The job may be in any state. JobUnknown.
        """
        with self._database.transaction() as session:
            row = _found(session, job_id, owner)
            given = _brief_of(session, job_id) if brief is None else brief
            kind = str(given.get("kind", row.kind))
            run_id = new_run_id(of_job=True)
            return self._create(
                owner, kind, given, row.meta, row.external_id, None, row.max_attempts, run_id, rerun_of=job_id
            )

    def delete(self, job_id: str, owner: str) -> Deletion:
        """Delete a job that has ended, with its brief, its events and its artifacts; its document stays.

        JobUnknown; JobActive when it has not ended.
        """
        with self._database.transaction() as session:
            row = _locked(session, job_id, owner)
            if row.state not in FINAL:
                raise JobActive(job_id, f"has not ended yet (it is {row.state}).", "Wait, or cancel it first.")
            job = Job.of_row(row)
            keys = set(session.scalars(select(ArtifactRow.file_key).where(ArtifactRow.job_id == job_id)))
            session.execute(delete(ArtifactRow).where(ArtifactRow.job_id == job_id))
            keys -= set(session.scalars(select(ArtifactRow.file_key).where(ArtifactRow.file_key.in_(sorted(keys)))))
            session.execute(delete(JobRow).where(JobRow.id == job_id))
            # A piece needs its run's notes and pictures as long as it may be edited.
            used = exists().where(JobRow.run_id == job.run_id) | exists().where(DocumentRow.run_id == job.run_id)
            run_is_free = not session.scalar(select(used))
        return Deletion(job, tuple(sorted(keys)), run_is_free)

    def _create(
        self,
        owner: str,
        kind: str,
        brief: Mapping[str, Any],
        metadata: Mapping[str, str],
        external_id: str | None,
        expires_at: datetime | None,
        max_attempts: int,
        run_id: str,
        *,
        retry_of: str | None = None,
        rerun_of: str | None = None,
        follows: bool = False,
    ) -> Job:
        require_kind(kind)
        require_metadata(metadata)
        if external_id is not None:
            require_external_id(external_id)
        if max_attempts < 1:
            raise InvalidRequest("max_attempts", f"{max_attempts} is out of range.", "Give 1 or more.")
        job_id = new_id("job", self._clock())
        now = made_at(job_id)  # to the millisecond, so that ids and creation times have one order
        values: dict[str, Any] = {
            "id": job_id,
            "owner": owner,
            "kind": kind,
            "state": "queued",
            "attempt": 0,
            "failed_attempts": 0,
            "max_attempts": max_attempts,
            "meta": dict(metadata),
            "external_id": external_id,
            "run_id": run_id,
            "retry_of": retry_of,
            "rerun_of": rerun_of,
            "created_at": now,
            "queued_at": now,
            "expires_at": expires_at,
            "dispatched_at": now if self._caller_sends() else None,
            "event_count": 1,
            "message": "",
            "seconds_used": 0.0,
            "tokens_used": 0,
        }
        with self._database.transaction() as session:
            parts: dict[type[Row], dict[str, Any]] = {
                JobBriefRow: {"job_id": job_id, "brief": dict(brief)},
                JobEventRow: first_event(job_id, "job.queued", now, {"state": "queued", "attempt": 0}),
            }
            if not insert_with_parts(session, JobRow, values, parts):
                raise JobActive(
                    retry_of or run_id, f"is being retried already (run {run_id}).", "Wait, or cancel that job first."
                )
            account(session, owner, now, Amounts(jobs=1), held=not follows)
        return Job.new(**values)

    def _cancel_waiting(self, session: Session, job_id: str, now: datetime) -> Job:
        """From awaiting_input by way of canceling: nobody works on it, so nobody needs to stop first."""
        _certain(move(session, job_id, "canceling", now))
        return _certain(move(session, job_id, "canceled", now))


_WANTED: Final = select(JobRow).where(JobRow.id == bindparam("job_id"), JobRow.owner == bindparam("owner"))
_WANTED_LOCKED: Final = _WANTED.with_for_update()


def _found(session: Session, job_id: str, owner: str, *, lock: bool = False) -> JobRow:
    row = None
    if is_id("job", job_id):  # what is not written as an id is not even looked up: it may hold what a database refuses
        row = session.scalars(
            _WANTED_LOCKED if lock else _WANTED,
            {"job_id": job_id, "owner": owner},
            execution_options={"populate_existing": True},
        ).one_or_none()
    if row is None:
        raise JobUnknown(job_id, "there is no such job of yours.", "List them with GET /v1/jobs.")
    return row


def _locked(session: Session, job_id: str, owner: str) -> JobRow:
    """The row, which nobody else changes until the transaction ends."""
    return _found(session, job_id, owner, lock=True)


def _brief_of(session: Session, job_id: str) -> dict[str, Any]:
    brief: dict[str, Any] = session.scalars(select(JobBriefRow.brief).where(JobBriefRow.job_id == job_id)).one()
    return brief


def _certain(job: Job | None) -> Job:
    assert job is not None, "a locked job does not change under us"
    return job
