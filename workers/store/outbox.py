"""Outbox: which jobs a message must be sent for; the database is the truth, and a lost message is sent again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select, update

from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.job import Job
from workers.store.tables import JobRow

__all__ = ["Outbox", "of_kinds"]

RESEND_S: Final = 300.0


class Outbox:
    """Jobs that wait for a worker and whose message was not sent yet, or so long ago that it counts as lost.

    A message that arrives twice does no harm (`Leases.claim` gives the job to one), but each costs the queue room, so
    `resend_s` is long; who knows that the queue was emptied says so with `forget_sent`.
    """

    def __init__(self, database: Database, *, clock: Clock = utc_now, resend_s: float = RESEND_S) -> None:
        self._database = database
        self._clock = clock
        self._resend = timedelta(seconds=resend_s)

    def take(self, limit: int = 100, *, job_id: str | None = None) -> list[Job]:
        """At most `limit` jobs to send a message for, oldest first (or that one, if it needs one), marked as sent.

        Of several that take at once each job goes to one. Who cannot send what it took calls `put_back`; who dies in
        between is made good after `resend_s`.
        """
        now = self._clock()
        due = or_(JobRow.dispatched_at.is_(None), JobRow.dispatched_at <= now - self._resend)
        wanted = select(JobRow.id).where(_waiting(), due)
        if job_id is not None:
            wanted = wanted.where(JobRow.id == job_id)
        with self._database.transaction() as session:
            ids = session.scalars(
                wanted.order_by(JobRow.id).limit(limit).with_for_update(skip_locked=job_id is None)
            ).all()
            if not ids:
                return []
            rows = session.scalars(
                update(JobRow).where(JobRow.id.in_(ids)).values(dispatched_at=now).returning(JobRow),
                execution_options={"synchronize_session": False, "populate_existing": True},
            ).all()
            return sorted((Job.of_row(row) for row in rows), key=lambda job: job.id)

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Mark jobs that were taken, and whose message was not sent, as to be sent. Later takings stay as they are."""
        with self._database.transaction() as session:
            for job in jobs:
                session.execute(
                    update(JobRow)
                    .where(JobRow.id == job.id, JobRow.dispatched_at == job.dispatched_at, _waiting())
                    .values(dispatched_at=None),
                    execution_options={"synchronize_session": False},
                )

    def deliver(self, send: Callable[[Sequence[Job]], None], limit: int = 100, *, job_id: str | None = None) -> int:
        """`take`, then `send` them; how many were sent. When `send` raises, they are put back, and it is raised on.

        With `job_id`, right after `Jobs.create`: a job then need not wait for the next round. Not inside a
        transaction: a worker would get the message before the job is there.
        """
        jobs = self.take(limit, job_id=job_id)
        if jobs:
            self.send_taken(jobs, send)
        return len(jobs)

    def send_taken(self, jobs: Sequence[Job], send: Callable[[Sequence[Job]], None]) -> None:
        """`send` jobs that are marked as sent already. When it raises, they are put back, and it is raised on."""
        try:
            send(jobs)
        except BaseException:
            self.put_back(jobs)
            raise

    def forget_sent(self, before: datetime, kinds: ColumnElement[bool] | None = None) -> int:
        """Send anew for every waiting job (of those `kinds`: see `of_kinds`) whose message was sent before that time:
        the queue lost what it held."""
        wanted = [_waiting(), JobRow.dispatched_at < before, *(() if kinds is None else (kinds,))]
        with self._database.transaction() as session:
            done = session.connection().execute(update(JobRow).where(*wanted).values(dispatched_at=None))
            return done.rowcount


def of_kinds(*kinds: str, others: bool = False) -> ColumnElement[bool]:
    """A condition: jobs of one of these kinds; with `others`, of none of them."""
    return JobRow.kind.not_in(kinds) if others else JobRow.kind.in_(kinds)


def _waiting() -> ColumnElement[bool]:
    return or_(JobRow.state == "queued", and_(JobRow.state == "awaiting_input", JobRow.answered_at.is_not(None)))
