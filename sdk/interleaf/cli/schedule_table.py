"""Schedule table: schedules of a service as rows, one in full, and what became of its times, for a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from interleaf.cli.printing import clipped, console

if TYPE_CHECKING:
    from interleaf.service.service_records import ScheduleLine, ScheduleRecord, ScheduleRunRecord

__all__ = ["run_table", "schedule_sheet", "schedule_table"]

_STYLES: Final = {"ordered": "green", "waiting": "cyan", "skipped": "yellow", "missed": "yellow", "failed": "red"}


def schedule_table(schedules: Sequence[ScheduleLine]) -> None:
    """One row each, as they come."""
    from rich.table import Table
    from rich.text import Text

    table = Table("schedule", "name", "when", "next", "runs")
    for one in schedules:
        table.add_row(one.id, Text(one.name), Text(_when(one)), Text(_next(one)), f"{one.run_count:,}")
    console().print(table)


def schedule_sheet(schedule: ScheduleRecord) -> None:
    """Everything that the service tells of it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=schedule.id, title_justify="left", show_header=False)
    rows = [
        ("name", schedule.name),
        ("when", _when(schedule)),
        ("starts", _moment(schedule.starts_at)),
        ("ends", _moment(schedule.ends_at)),
        ("paused", _moment(schedule.paused_at)),
        *(
            ("next" if not number else "", f"{time:%a %Y-%m-%d %H:%M %z}")
            for number, time in enumerate(schedule.next_times)
        ),
        ("overlap", schedule.overlap),
        ("catch up", f"{schedule.catch_up_s:,} s"),
        ("jitter", f"{schedule.jitter_s:,} s"),
        ("publish", "" if schedule.publish_after_s is None else f"{schedule.publish_after_s:,} s after a run was due"),
        ("instruction", clipped(str(schedule.brief.get("instruction", "")))),
        *((f"{{{{ {name} }}}}", _values(value)) for name, value in sorted(schedule.variables.items())),
        ("version", str(schedule.version)),
        ("runs", f"{schedule.run_count:,}"),
    ]
    for name, said in rows:
        if said:
            table.add_row(Text(name), Text(said))
    console().print(table)
    if schedule.last_runs:
        run_table(schedule.last_runs)


def run_table(runs: Sequence[ScheduleRunRecord]) -> None:
    """One row each, as they come."""
    from rich.table import Table
    from rich.text import Text

    table = Table("run", "due", "outcome", "no.", "job", "why")
    for run in runs:
        outcome = run.outcome if run.missed_count < 2 else f"{run.outcome} ({run.missed_count:,})"
        table.add_row(
            run.id,
            Text(_moment(run.due_at) + (" by hand" if run.by_hand else "")),
            Text(outcome, style=_STYLES.get(run.outcome, "")),
            "" if run.number is None else f"{run.number:,}",
            run.job_id or "",
            Text("" if run.error is None else f"{run.error.code}: {run.error.detail}"),
        )
    console().print(table)


# Inside


def _when(schedule: ScheduleLine) -> str:
    if schedule.at is not None:
        return f"once, {_moment(schedule.at)}"
    return f"{schedule.cron} {schedule.time_zone}"


def _next(schedule: ScheduleLine) -> str:
    if schedule.paused_at is not None:
        return "paused"
    return "over" if schedule.next_due_at is None else _in_zone(schedule.next_due_at, schedule.time_zone)


def _in_zone(at: datetime, zone: str) -> str:
    """In the schedule's zone where this machine knows it, with its distance from UTC in any case."""
    try:
        there = at.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        there = at.astimezone()
    return f"{there:%a %Y-%m-%d %H:%M %z}"


def _values(value: object) -> str:
    return clipped(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
