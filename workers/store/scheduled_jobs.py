"""Scheduled jobs: the order of one run of a schedule: its brief filled in and checked, and the job that comes of it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from interleaf.errors import KeyRefused, QueueFull, QuotaReached
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.job import Job
from workers.store.job_transitions import FINAL, STATES, JobState
from workers.store.jobs import Jobs
from workers.store.ledger import standing_of
from workers.store.libraries import Libraries
from workers.store.schedule_order import ScheduleOrder, brief_uploads
from workers.store.tables import ApiKeyRow, JobRow, ScheduleRow, ScheduleRunRow
from workers.store.uploads import require_uploads

__all__ = ["NUMBER", "SCHEDULE", "ScheduledJobs"]

SCHEDULE: Final = "schedule"
"""In a job's metadata: the id of the schedule that ordered it."""
NUMBER: Final = "number"
"""In a job's metadata: the number of the run."""

_LIVE: Final[tuple[JobState, ...]] = tuple(state for state in STATES if state not in FINAL)


class ScheduledJobs:
    """Every method works inside the transaction of `session`, which holds the schedule's row."""

    def __init__(self, database: Database, jobs: Jobs, *, clock: Clock = utc_now) -> None:
        self._jobs = jobs
        self._libraries = Libraries(database, clock=clock)
        self._clock = clock

    def order(self, session: Session, row: ScheduleRow, due: datetime) -> Job:
        """A job with the next number of the schedule; whoever calls writes down that the number is used.

        InvalidRequest and InvalidBrief for what is wrong with the filled brief; ObjectUnknown for an upload that is
        gone; what `Jobs.create` raises."""
        number = row.run_count + 1
        brief = ScheduleOrder.of_row(row).brief_of_run(due, number)
        require_uploads(session, brief_uploads(brief), row.owner, self._clock())
        self._libraries.resolve(row.owner, brief.libraries)
        metadata = {SCHEDULE: row.id, NUMBER: str(number)}
        return self._jobs.create(row.owner, brief.kind, brief.model_dump(mode="json"), metadata=metadata)

    def require_room(self, session: Session, owner: str, *, max_active: int, max_queued: int) -> None:
        """Whether a request with the owner's key would be let in and have room for a job: KeyRefused, QuotaReached
        (DayQuotaReached among them), QueueFull. The limits hold where the key has none of its own."""
        quota, revoked_at = session.execute(
            select(ApiKeyRow.max_active_jobs, ApiKeyRow.revoked_at).where(ApiKeyRow.id == owner)
        ).one()
        if revoked_at is not None:
            raise KeyRefused("key", "was revoked.", "Make the schedule anew with another key.")
        if self._jobs.count(("queued",)) >= max_queued:
            raise QueueFull("queue", f"{max_queued} jobs wait already.", "See why they wait: `interleaf health`.")
        most = max_active if quota is None else quota
        active = self._jobs.count(_LIVE, owner)
        if active >= most:
            raise QuotaReached("jobs", f"{active} of this key have not ended; it may have {most}.", "Wait for some.")
        standing_of(session, owner, self._clock()).require()

    def live(self, session: Session, schedule_id: str) -> list[str]:
        """Ids of the schedule's jobs that have not ended, those of runs by hand too."""
        # From the jobs' side: of those few have not ended, while a schedule has more and more runs.
        ran = exists().where(ScheduleRunRow.job_id == JobRow.id, ScheduleRunRow.schedule_id == schedule_id)
        return list(session.scalars(select(JobRow.id).where(JobRow.state.in_(_LIVE), ran).order_by(JobRow.id)))

    def cancel(self, job_id: str, owner: str) -> None:
        """As its owner would. JobFinal when it has just ended."""
        self._jobs.cancel(job_id, owner)
