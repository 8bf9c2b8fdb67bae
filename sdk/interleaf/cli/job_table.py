"""Job table: jobs of a service as rows, and one job in full, for a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from interleaf.cli.printing import console, say, size_of

if TYPE_CHECKING:
    from rich.text import Text

    from interleaf.service.service_records import JobEvent, JobRecord, JobResult

__all__ = ["event_line", "job_sheet", "job_table", "tell_moved"]

_STYLES: Final = {
    "succeeded": "green",
    "incomplete": "yellow",
    "awaiting_input": "yellow",
    "failed": "red",
    "expired": "red",
    "running": "cyan",
}


def job_table(jobs: Sequence[JobRecord]) -> None:
    """One row each, as they come."""
    from rich.table import Column, Table
    from rich.text import Text

    # An id is for copying: it is never cut off.
    table = Table(Column("job", no_wrap=True, min_width=30), "kind", "state", "where", "created", "name")
    for job in jobs:
        name = job.external_id or ", ".join(f"{key}={value}" for key, value in sorted(job.metadata.items()))
        table.add_row(job.id, Text(job.kind), _state(job), Text(_where(job)), _moment(job.created_at), Text(name))
    console().print(table)


def job_sheet(job: JobRecord) -> None:
    """Everything that the service tells of it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=job.id, title_justify="left", show_header=False)
    table.add_row("state", _state(job))
    rows: list[tuple[str, str]] = [("kind", job.kind), ("where", _where(job))]
    rows.append(("attempt", f"{job.attempt} of at most {job.max_attempts}"))
    rows.append(("used", f"{job.use.seconds:,.1f} s, {job.use.tokens:,} tokens"))
    for name in ("created", "queued", "started", "awaiting", "canceling", "finished", "expires"):
        at = getattr(job, f"{name}_at")
        rows.append((name, "" if at is None else _moment(at)))
    rows += [("called", job.external_id or ""), *((key, value) for key, value in sorted(job.metadata.items()))]
    rows += [("retry of", job.retry_of or ""), ("rerun of", job.rerun_of or "")]
    if job.input is not None:
        rows.append(("asks", f"{job.input.asks or 'something'} (interleaf jobs answer {job.id})"))
    if job.result is not None:
        rows.append(("document", job.result.document_id or ""))
        rows += [(file.format, f"{file.id}  {size_of(file.bytes)}") for file in job.result.artifacts]
        rows += _made_with(job.result)
    if job.error is not None:
        rows.append(("error", f"{job.error.code}: {job.error.detail}"))
    for name, said in rows:
        if said:
            table.add_row(Text(name), Text(said))
    console().print(table)


def tell_moved(job: JobRecord) -> None:
    """Say on standard error what is not as it was for the job that a rerun does anew; nothing where nothing moved."""
    rerun = None if job.result is None else job.result.rerun
    for notice in () if rerun is None else rerun.notices:
        say(f"not as it was: {notice.message}", "yellow", error=True)


def event_line(event: JobEvent) -> str:
    """An event in a line."""
    said = [str(event.data[name]) for name in ("stage", "message", "format", "asks", "code") if event.data.get(name)]
    at = "" if event.at is None else f"{event.at.astimezone():%H:%M:%S}  "
    return f"{event.id:>4}  {at}{event.name}  {' · '.join(said)}".rstrip()


# Inside


def _made_with(result: JobResult) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if result.run is not None:
        run = result.run
        made = f"{run.writer}, version {run.writer_version}; seed {run.seed}; interleaf {run.interleaf_version}"
        rows.append(("made with", made))
        rows += [("library", f"{name} at {state[:12]}") for name, state in sorted(run.libraries.items())]
    if result.rerun is not None:
        rows += [("changed", f"{one.field}: {one.now}; it was {one.was}") for one in result.rerun.overrides]
        rows += [("not as it was", notice.message) for notice in result.rerun.notices]
    return rows


def _state(job: JobRecord) -> Text:
    from rich.text import Text

    return Text(job.state, style=_STYLES.get(job.state, ""))


def _where(job: JobRecord) -> str:
    if job.final or job.progress.stage is None:
        return ""
    share = "" if job.progress.share_done is None else f" {job.progress.share_done:.0%}"
    return f"{job.progress.stage}{share}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
