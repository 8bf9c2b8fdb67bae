"""Tables of schedules: when which piece is ordered, and what became of each time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from workers.store.tables.row import Id, Json, Row

__all__ = ["ScheduleRow", "ScheduleRunRow"]


class ScheduleRow(Row):
    """When a brief is ordered: at the times of a cron expression, or once."""

    __tablename__ = "schedules"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    name: Mapped[str] = mapped_column(String(200))
    brief: Mapped[dict[str, Any]]
    """With placeholders where a run's variables are filled in."""
    variables: Mapped[dict[str, Any]]
    cron: Mapped[str | None] = mapped_column(String(200))
    once_at: Mapped[datetime | None]
    time_zone: Mapped[str] = mapped_column(String(64))
    overlap: Mapped[str] = mapped_column(String(20))
    catch_up_s: Mapped[int]
    jitter_s: Mapped[int]
    publish_after_s: Mapped[int | None]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    version: Mapped[int]
    """Rises by one with each change by its owner."""
    run_count: Mapped[int]
    """The number that the newest run had: what its brief was told, from 1 on."""
    next_due_at: Mapped[datetime | None]
    """The next time that is not decided yet; None: there is none any more."""
    next_fire_at: Mapped[datetime | None] = mapped_column(index=True)
    """When to look at it: that time with its jitter, or earlier while runs wait; None while it is paused."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("(cron IS NULL) <> (once_at IS NULL)", name="cron_or_once"),
        Index(None, "owner", "id"),
    )


class ScheduleRunRow(Row):
    """What became of a time of a schedule. Its key is what lets several beats decide each time once."""

    __tablename__ = "schedule_runs"

    schedule_id: Mapped[str] = mapped_column(Id, ForeignKey("schedules.id", ondelete="CASCADE"), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    # A run by hand has the time of the hand's call and never stands in the way of a time of the schedule.
    by_hand: Mapped[bool] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(String(20))
    """waiting (for the run before), ordered, skipped, missed or failed."""
    decided_at: Mapped[datetime]
    number: Mapped[int | None]
    # No foreign key: the job may be deleted, its run is history.
    job_id: Mapped[str | None] = mapped_column(Id, index=True)
    publish_at: Mapped[datetime | None]
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    missed_count: Mapped[int]
    """How many times a row of outcome missed stands for; 0 in all others."""

    __table_args__ = (Index(None, "schedule_id", "outcome"),)
