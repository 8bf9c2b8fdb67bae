"""Tables of jobs: the job, what it was asked, its events, and the workers that were seen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from workers.store.job_transitions import FINAL, STATES
from workers.store.tables.row import Id, Json, Row

__all__ = ["JobBriefRow", "JobEventRow", "JobRow", "WorkerBeatRow"]


_ENDS = tuple(sorted(FINAL))


def _listed(states: tuple[str, ...]) -> str:
    return ", ".join(f"'{state}'" for state in states)


class JobRow(Row):
    """A job. Its brief lies in a row of its own: SQLite writes a row anew at each beat, and a brief may be large."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    kind: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int] = mapped_column(default=0)
    failed_attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    meta: Mapped[dict[str, Any]] = mapped_column("metadata")
    external_id: Mapped[str | None] = mapped_column(String(200))
    run_id: Mapped[str] = mapped_column(String(64))
    # No foreign keys: the first job may be deleted before the one that followed it.
    retry_of: Mapped[str | None] = mapped_column(Id)
    rerun_of: Mapped[str | None] = mapped_column(Id)

    created_at: Mapped[datetime]
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    awaiting_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    canceling_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    dispatched_at: Mapped[datetime | None]

    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[datetime | None]

    stage: Mapped[str | None] = mapped_column(String(40))
    share_done: Mapped[float | None]
    message: Mapped[str] = mapped_column(String(4000), default="")
    event_count: Mapped[int] = mapped_column(default=0)
    seconds_used: Mapped[float] = mapped_column(default=0.0)
    tokens_used: Mapped[int] = mapped_column(default=0)

    request_id: Mapped[str | None] = mapped_column(Id)
    input_deadline: Mapped[datetime | None]
    on_timeout: Mapped[str | None] = mapped_column(String(10))
    question: Mapped[dict[str, Any] | None] = mapped_column(Json)
    answer: Mapped[dict[str, Any] | None] = mapped_column(Json)
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (
        CheckConstraint(f"state IN ({_listed(STATES)})", name="state_is_known"),
        CheckConstraint("lease_until IS NOT NULL OR state <> 'running'", name="running_has_lease"),
        CheckConstraint("lease_until IS NULL OR state IN ('running', 'canceling')", name="lease_fits_state"),
        CheckConstraint(f"(state IN ({_listed(_ENDS)})) = (finished_at IS NOT NULL)", name="end_fits_state"),
        # An id begins with the time of its making: this is the order of every list.
        Index(None, "owner", "id"),
        Index(None, "owner", "external_id"),
        # What the outbox and the reconciler look for.
        Index(None, "state", "dispatched_at"),
        Index(None, "lease_until"),
        Index(None, "input_deadline"),
        Index(None, "expires_at"),
    )


# One job at a time may work on a run folder.
_LIVE = JobRow.state.not_in(_ENDS)
Index("uq_jobs_live_run", JobRow.run_id, unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE)


class JobBriefRow(Row):
    """What a job was asked."""

    __tablename__ = "job_briefs"

    job_id: Mapped[str] = mapped_column(Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    brief: Mapped[dict[str, Any]]


class JobEventRow(Row):
    """An event of a job; ids rise by one from 1 within a job."""

    __tablename__ = "job_events"

    job_id: Mapped[str] = mapped_column(Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(60))
    at: Mapped[datetime]
    data: Mapped[dict[str, Any]]


class WorkerBeatRow(Row):
    """When a worker was last seen."""

    __tablename__ = "worker_beats"

    worker_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    queue: Mapped[str] = mapped_column(String(40))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(index=True)
