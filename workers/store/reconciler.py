"""Reconciler: puts right what nobody else will: jobs whose worker died, questions and starts that are overdue.

Run it every few seconds, in as many processes as you like: each job is put right once. What needs a message
afterwards is found by outbox.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, bindparam, select
from sqlalchemy.orm import Session

from interleaf.errors import JobExpired, WorkerLost, error_to_record
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.job import Job
from workers.store.job_moves import JOBS, change, move
from workers.store.tables import DocumentRow, JobRow

__all__ = ["Reconciler"]

# A finished piece only waits for its files, together with every other one of its worker: it is not what kills it, and a
# few restarts of workers while many wait must not end them all. Yet nothing goes round for ever.
_TRIES_OF_PIECES: Final = 10


class Reconciler:
    """The rounds of the service. Each method does at most `limit` jobs in one transaction, and returns these as they
    are then; a full list means that there may be more. Every method may raise ServiceAway."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def lost(self, limit: int = 100) -> list[Job]:
        """Jobs whose lease ran out: queued again (event job.requeued), or failed with WorkerLost when so many workers
        died on it as it may be tried, ten times as many when its piece is finished; a job that was being canceled is
        canceled."""
        now = self._clock()
        with self._database.transaction() as session:
            return [
                job
                for row in _taken(session, _OVER, now, JobRow.lease_until, limit)
                if (job := self._recover(session, row, now)) is not None
            ]

    def overdue(self, limit: int = 100) -> list[Job]:
        """Questions that nobody answered in time: answered with approve (event job.answered), or the job expires, as
        the job says; and jobs that did not begin before `expires_at`: they expire."""
        now = self._clock()
        with self._database.transaction() as session:
            done = [
                self._answer_or_expire(session, row, now)
                for row in _taken(session, _UNANSWERED, now, JobRow.input_deadline, limit)
            ]
            done += [
                self._expire(session, row.id, _UNBEGUN, now, "did not begin before it was to expire.")
                for row in _taken(session, _UNBEGUN, now, JobRow.expires_at, limit - len(done))
            ]
            return [job for job in done if job is not None]

    def _recover(self, session: Session, row: JobRow, now: datetime) -> Job | None:
        given = {"now": now, "same_attempt": row.attempt}
        if row.state == "canceling":
            return move(session, row.id, "canceled", now, _OVER, _SAME, given=given, data={"reason": "worker_lost"})
        failed = row.failed_attempts + 1
        if failed < _tries(session, row):
            return move(
                session,
                row.id,
                "queued",
                now,
                _OVER,
                _SAME,
                given=given,
                event="job.requeued",
                data={"reason": "worker_lost", "worker": row.lease_owner},
                values={"failed_attempts": failed},
            )
        error = WorkerLost(
            row.id,
            f"its worker stopped without a word, {failed} time{'s' if failed > 1 else ''} (last: {row.lease_owner}).",
            "See the worker's log; then retry the job: it goes on from its last checkpoint.",
        )
        return move(
            session,
            row.id,
            "failed",
            now,
            _OVER,
            _SAME,
            given=given,
            sources=("running",),
            data={"code": error.code},
            values={"failed_attempts": failed, "error": error_to_record(error)},
        )

    def _answer_or_expire(self, session: Session, row: JobRow, now: datetime) -> Job | None:
        if row.on_timeout != "approve":
            return self._expire(session, row.id, _UNANSWERED, now, "waited for an answer, and none came in time.")
        return change(
            session,
            row.id,
            now,
            _UNANSWERED,
            given={"now": now},
            event="job.answered",
            data={"state": "awaiting_input", "request_id": row.request_id, "decision": "approve", "by": "timeout"},
            values={
                "answer": {"decision": "approve"},
                "answered_at": now,
                "dispatched_at": None,
                "input_deadline": None,
            },
        )

    def _expire(self, session: Session, job_id: str, still: ColumnElement[bool], now: datetime, why: str) -> Job | None:
        error = JobExpired(job_id, why, "Retry the job to go on with it.")
        return move(
            session,
            job_id,
            "expired",
            now,
            still,
            given={"now": now},
            data={"code": error.code},
            values={"error": error_to_record(error)},
        )


_NOW: Final = bindparam("now", type_=JOBS.lease_until.type)
_OVER: Final = JOBS.lease_until <= _NOW
_SAME: Final = JOBS.attempt == bindparam("same_attempt")
_UNANSWERED: Final = and_(JOBS.state == "awaiting_input", JOBS.input_deadline <= _NOW)
_UNBEGUN: Final = and_(JOBS.state == "queued", JOBS.started_at.is_(None), JOBS.expires_at <= _NOW)


def _taken(
    session: Session, condition: ColumnElement[bool], now: datetime, order: object, limit: int
) -> Sequence[JobRow]:
    """Rows that fit, held for this transaction; those that another reconciler or a worker holds are left to it."""
    if limit <= 0:
        return ()
    wanted = select(JobRow).where(condition).order_by(order, JobRow.id)  # type: ignore[arg-type]
    return session.scalars(wanted.limit(limit).with_for_update(skip_locked=True), {"now": now}).all()


def _tries(session: Session, row: JobRow) -> int:
    """How many workers may die on the job."""
    piece = session.scalar(select(DocumentRow.id).where(DocumentRow.job_id == row.id).limit(1))
    return row.max_attempts if piece is None else row.max_attempts * _TRIES_OF_PIECES
