"""Schedule: when pieces are ordered, and what became of each time, as its owner sees it: frozen values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, cast

from interleaf.errors import InvalidRequest, shown
from workers.store.schedule_order import ScheduleOrder
from workers.store.tables import ScheduleRow, ScheduleRunRow

__all__ = ["RunOutcome", "Schedule", "ScheduleRun", "moment_of_run", "run_id_of"]

RunOutcome = Literal[
    "waiting",  # for the run before it
    "ordered",
    "skipped",  # the run before it had not ended, or too many waited
    "missed",  # the service was away for longer than the window for catching up
    "failed",  # its brief was refused, or a quota was used up
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_RUN_ID: Final = re.compile(r"run_([0-9]{17})([hs])")


@dataclass(frozen=True)
class Schedule:
    """A schedule at one moment. All times are UTC."""

    id: str
    owner: str
    """Id of the key that it belongs to."""
    order: ScheduleOrder
    """In a list without its brief and its variables: they may be large."""
    paused_at: datetime | None
    version: int
    """Rises by one with each change by its owner."""
    run_count: int
    """The number that the newest run had."""
    next_due_at: datetime | None
    """The first time that is not decided yet; None while it is paused, and when there is none any more."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of_row(cls, row: ScheduleRow, order: ScheduleOrder | None = None) -> Schedule:
        return cls(
            id=row.id,
            owner=row.owner,
            order=order or ScheduleOrder.of_row(row),
            paused_at=row.paused_at,
            version=row.version,
            run_count=row.run_count,
            next_due_at=row.next_due_at if row.paused_at is None else None,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    def next_times(self, now: datetime, count: int = 5) -> list[datetime]:
        """The next few times at which it is due, in its own zone; none while it is paused."""
        return [] if self.paused_at is not None else self.order.timetable.next_times(now, count)


@dataclass(frozen=True)
class ScheduleRun:
    """What became of a time, or of a run by hand."""

    schedule_id: str
    due_at: datetime
    by_hand: bool
    outcome: RunOutcome
    decided_at: datetime
    number: int | None
    """Counts the runs whose brief was filled in, from 1."""
    job_id: str | None
    publish_at: datetime | None
    error: Mapping[str, Any] | None
    """Why it failed, as `interleaf.errors.error_to_record` writes it."""
    missed_count: int
    """How many times a missed one stands for; 0 for all others."""

    @property
    def id(self) -> str:
        """Names the run among those of its schedule; ids sort by time."""
        return run_id_of(self.due_at, by_hand=self.by_hand)

    @classmethod
    def of_row(cls, row: ScheduleRunRow) -> ScheduleRun:
        return cls(**cast(Any, {name: getattr(row, name) for name in cls.__dataclass_fields__}))


def run_id_of(due_at: datetime, *, by_hand: bool) -> str:
    """`run_01806109200000000s`: microseconds since 1970, and whether the schedule (s) or a hand (h) began it."""
    return f"run_{(due_at - _EPOCH) // _US:017d}{'h' if by_hand else 's'}"


def moment_of_run(run_id: str, field: str) -> tuple[datetime, bool]:
    """The time that the run was due, and whether it was begun by hand. InvalidRequest names the field."""
    found = _RUN_ID.fullmatch(run_id)
    try:
        if found is None:
            raise ValueError("another form")
        return _EPOCH + int(found[1]) * _US, found[2] == "h"
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(field, f"{shown(run_id)!r} is not a run's id.", "Give an id as it was told.") from error
