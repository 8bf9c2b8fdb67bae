"""`interleaf usage`: what a key of a service has used, by the day, and what is left of today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from interleaf.cli.printing import console, say, size_of
from interleaf.cli.server_option import KeyFileOption, ServerOption, opened_client

if TYPE_CHECKING:
    from interleaf.service.usage_records import QuotaRecord, TodayRecord, UsageRecord, UseRecord

__all__ = ["EPILOG", "usage"]

EPILOG: Final = """
Examples:

  interleaf usage --days 7

  interleaf usage --key KEY --json      for an admin: of another key
"""

_UNITS: Final = {
    "max_jobs_per_day": "jobs",
    "max_seconds_per_day": "seconds of work",
    "max_tokens_per_day": "tokens",
}


def usage(
    days: int = typer.Option(30, "--days", min=1, max=3_660, help="So many days, today (UTC) included."),
    key: str | None = typer.Option(None, "--key", metavar="KEY", help="Another key, by its id; for an admin."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = typer.Option(False, "--json", help="JSON on standard output, for machines."),
) -> None:
    """Show what your key has used on each day (UTC): jobs, seconds of work, tokens, files; and what today has left."""
    with opened_client(server, api_key_file) as client:
        # From the service's own day on: this machine's clock may be another.
        found = client.usage(key_id=key)
        if days != 30:
            found = client.usage(since=found.until - timedelta(days=days - 1), until=found.until, key_id=key)
    if as_json:
        typer.echo(found.model_dump_json(by_alias=True))
        return
    _table(found)
    _left(found.today)


def _table(found: UsageRecord) -> None:
    from rich.table import Table

    table = Table(title=f"{found.since} to {found.until} (UTC)", title_justify="left", show_footer=len(found.data) > 1)
    table.add_column("day", "total", min_width=10)
    totals = _cells(found.total)
    for name, total in zip(("jobs", "ended", "failed", "seconds", "tokens", "files"), totals, strict=True):
        table.add_column(name, total, justify="right", overflow="fold")
    for day in found.data:
        table.add_row(day.day.isoformat(), *_cells(day))
    if found.data:
        console().print(table)
    else:
        say(f"nothing from {found.since} to {found.until} (UTC)")


def _left(today: TodayRecord) -> None:
    if not today.quotas:
        say("no quotas of the day", "dim")
    for quota in today.quotas:
        say(f"today: {_quota(quota)}", "" if quota.left else "yellow")
    if any(not quota.left for quota in today.quotas):
        wait = max(today.free_at - datetime.now(UTC), timedelta())
        hours, minutes = divmod(int(wait.total_seconds()) // 60, 60)
        say(f"there is room again at {today.free_at:%Y-%m-%d %H:%M} UTC, in {hours} h {minutes:02} min", "yellow")


def _quota(quota: QuotaRecord) -> str:
    return f"{_number(quota.used)} of {quota.limit:,} {_UNITS.get(quota.name, quota.name)}, {_number(quota.left)} left"


def _cells(used: UseRecord) -> tuple[str, ...]:
    counts = (used.jobs, used.ended, used.failed)
    return (*(f"{count:,}" for count in counts), _number(used.seconds), f"{used.tokens:,}", size_of(used.bytes))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
