"""`interleaf schedules`: pieces of a service that are ordered by the clock."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import typer

from interleaf.cli.printing import json_line, say
from interleaf.cli.schedule_table import run_table, schedule_sheet, schedule_table
from interleaf.cli.server_option import KeyFileOption, ServerOption, opened_client

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Pieces that a service orders by the clock: create, list, show, next, run, runs, change, pause, delete.",
    epilog="""
Where the service is and your key stand in INTERLEAF_SERVER and INTERLEAF_API_KEY, or --server and --api-key-file.

Start here: interleaf schedules create brief.yaml --name "The tide of the day" --cron "30 7 * * MON-FRI" \
--time-zone Europe/Berlin

A brief may hold placeholders, which each run fills in: {{ date }}, {{ time }}, {{ weekday }}, {{ year }}, \
{{ month }}, {{ day }}, {{ number }}, and your own from --set.
""",
)

_SCHEDULE: Final = typer.Argument(..., metavar="SCHEDULE", help="A schedule's id, as it was printed.")
_JSON: Final = typer.Option(False, "--json", help="JSON on standard output, for machines.")
_CRON: Final = typer.Option(None, "--cron", help="Minute, hour, day of month, month, day of week, in quotes.")
_AT: Final = typer.Option(None, "--at", metavar="TIME", help="Once, then: 2030-01-31T08:00+01:00.")
_ZONE: Final = typer.Option(None, "--time-zone", metavar="ZONE", help="IANA name, such as Europe/Berlin. [UTC]")
_STARTS: Final = typer.Option(None, "--starts", metavar="TIME", help="No run before.")
_ENDS: Final = typer.Option(None, "--ends", metavar="TIME", help="No run then or later.")
_SET: Final = typer.Option(
    [], "--set", metavar="NAME=VALUE", help="What {{ NAME }} stands for. Repeated: each run takes the next value."
)
_OVERLAP: Final = typer.Option(
    None,
    "--overlap",
    help="While an earlier run is at work: skip (no run), queue (a run after it), cancel_running (in its place).",
)
_CATCH_UP: Final = typer.Option(
    None, "--catch-up", metavar="SECONDS", help="How late a run may be, when the service was away. [3600]"
)
_JITTER: Final = typer.Option(None, "--jitter", metavar="SECONDS", help="Order each run up to so much later. [0]")
_PUBLISH: Final = typer.Option(
    None, "--publish-after", metavar="SECONDS", help="Publish a run's piece so long after it was due."
)


@app.command(
    epilog="""
Examples:

  interleaf schedules create brief.yaml --name Tides --cron "30 7 * * MON-FRI" --time-zone Europe/Berlin

  interleaf schedules create brief.yaml --name Harbours --cron "0 6 * * SUN" --set harbour=Brest --set harbour=Cork

  interleaf schedules create brief.yaml --name "New year" --at 2030-01-01T00:00+01:00 --publish-after 3600
"""
)
def create(
    brief: Path = typer.Argument(..., help="A brief in YAML or JSON; its texts may hold placeholders."),
    name: str = typer.Option(..., "--name", help="A label for people."),
    cron: str | None = _CRON,
    at: str | None = _AT,
    time_zone: str | None = _ZONE,
    starts: str | None = _STARTS,
    ends: str | None = _ENDS,
    values: list[str] = _SET,
    overlap: str | None = _OVERLAP,
    catch_up: int | None = _CATCH_UP,
    jitter: int | None = _JITTER,
    publish_after: int | None = _PUBLISH,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Make a schedule; the files of its brief are sent along. Prints its id."""
    rules: Any = {"overlap": overlap, "catch_up_s": catch_up, "jitter_s": jitter, "publish_after_s": publish_after}
    times = _times(at, starts, ends)
    variables = _variables(values)
    with opened_client(server, api_key_file) as client:
        made = client.schedules.create(
            name, brief, cron=cron, time_zone=time_zone, variables=variables or None, **times, **rules
        )
    typer.echo(made.model_dump_json() if as_json else made.id)
    if not as_json and made.next_times:
        say(f"next: {made.next_times[0]:%A %Y-%m-%d %H:%M %Z}", "dim", error=True)


@app.command("list", epilog="Example: interleaf schedules list --json | jq -r '.schedules[].id'")
def list_(
    limit: int = typer.Option(20, min=1, max=100, help="At most this many."),
    after: str | None = typer.Option(None, metavar="SCHEDULE", help="Go on after this one: older ones."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """List your schedules, newest first."""
    with opened_client(server, api_key_file) as client:
        page = client.schedules.list(limit=limit, after=after)
    if as_json:
        lines = [line.model_dump(mode="json") for line in page.data]
        typer.echo(json_line({"schedules": lines, "next": page.last_id if page.has_more else None}))
        return
    if not page.data:
        say("no schedules")
        return
    schedule_table(page.data)
    if page.has_more:
        say(f"older ones: --after {page.last_id}", "dim")


@app.command(epilog="Example: interleaf schedules show SCHEDULE")
def show(
    schedule: str = _SCHEDULE,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Show a schedule: its rules, its next five times, its last five runs."""
    with opened_client(server, api_key_file) as client:
        found = client.schedules.get(schedule)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        schedule_sheet(found)


@app.command(
    "next", epilog='Example: interleaf schedules next --cron "30 2 * * *" --time-zone America/New_York --count 3'
)
def next_(
    cron: str | None = _CRON,
    at: str | None = _AT,
    time_zone: str | None = _ZONE,
    starts: str | None = _STARTS,
    ends: str | None = _ENDS,
    count: int = typer.Option(5, min=1, max=100, help="How many times."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Tell the next times of a timetable, before a schedule is made of it."""
    times = _times(at, starts, ends)
    with opened_client(server, api_key_file) as client:
        found = client.schedules.preview(cron=cron, time_zone=time_zone, count=count, **times)
    if as_json:
        typer.echo(json_line({"times": [time.isoformat() for time in found]}))
        return
    for time in found:
        typer.echo(f"{time:%A %Y-%m-%d %H:%M %z}")


@app.command(
    epilog="""
Examples:

  interleaf schedules change SCHEDULE --cron "0 8 * * *"

  interleaf schedules change SCHEDULE --at 2030-01-31T08:00Z         once, in place of its cron expression

  interleaf schedules change SCHEDULE --brief brief.yaml --set harbour=Brest
"""
)
def change(
    schedule: str = _SCHEDULE,
    brief: Path | None = typer.Option(None, "--brief", metavar="FILE", help="Another brief."),
    name: str | None = typer.Option(None, "--name", help="A label for people."),
    cron: str | None = _CRON,
    at: str | None = _AT,
    time_zone: str | None = _ZONE,
    starts: str | None = _STARTS,
    ends: str | None = _ENDS,
    values: list[str] = _SET,
    overlap: str | None = _OVERLAP,
    catch_up: int | None = _CATCH_UP,
    jitter: int | None = _JITTER,
    publish_after: int | None = _PUBLISH,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Change a schedule; what you leave out stays as it is. --set replaces all that was set."""
    said: dict[str, Any] = {
        "brief": brief,
        "name": name,
        "cron": cron,
        "at": _moment("--at", at),
        "time_zone": time_zone,
        "starts_at": _moment("--starts", starts),
        "ends_at": _moment("--ends", ends),
        "variables": _variables(values) or None,
        "overlap": overlap,
        "catch_up_s": catch_up,
        "jitter_s": jitter,
        "publish_after_s": publish_after,
    }
    changes = {field: value for field, value in said.items() if value is not None}
    if at is not None and cron is None:
        changes["cron"] = None
    if cron is not None and at is None:
        changes["at"] = None
    with opened_client(server, api_key_file) as client:
        changed = client.schedules.update(schedule, **changes)
    typer.echo(changed.model_dump_json() if as_json else f"{schedule} is changed (version {changed.version})")


@app.command(epilog="Example: interleaf jobs wait $(interleaf schedules run SCHEDULE)")
def run(
    schedule: str = _SCHEDULE,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Run a schedule now, whatever its timetable says; prints the job's id."""
    with opened_client(server, api_key_file) as client:
        job = client.schedules.trigger(schedule)
    typer.echo(job.record.model_dump_json() if as_json else job.id)


@app.command(epilog="Example: interleaf schedules runs SCHEDULE --limit 100")
def runs(
    schedule: str = _SCHEDULE,
    limit: int = typer.Option(20, min=1, max=100, help="At most this many."),
    after: str | None = typer.Option(None, metavar="RUN", help="Go on after this run: earlier ones."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """List what became of a schedule's times, the latest first."""
    with opened_client(server, api_key_file) as client:
        page = client.schedules.runs(schedule, limit=limit, after=after)
    if as_json:
        lines = [line.model_dump(mode="json") for line in page.data]
        typer.echo(json_line({"runs": lines, "next": page.last_id if page.has_more else None}))
        return
    if not page.data:
        say("no runs yet")
        return
    run_table(page.data)
    if page.has_more:
        say(f"earlier ones: --after {page.last_id}", "dim")


@app.command(epilog="Example: interleaf schedules pause SCHEDULE")
def pause(
    schedule: str = _SCHEDULE,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Order nothing until the schedule is resumed."""
    with opened_client(server, api_key_file) as client:
        found = client.schedules.pause(schedule)
    typer.echo(found.model_dump_json() if as_json else f"{schedule} is paused")


@app.command(epilog="Example: interleaf schedules resume SCHEDULE")
def resume(
    schedule: str = _SCHEDULE,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Go on with a schedule's next time; those that passed meanwhile are not caught up."""
    with opened_client(server, api_key_file) as client:
        found = client.schedules.resume(schedule)
    typer.echo(found.model_dump_json() if as_json else f"{schedule} goes on")


@app.command(epilog="Example: interleaf schedules delete SCHEDULE")
def delete(
    schedule: str = _SCHEDULE,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Delete a schedule with its history. Jobs that it ordered go on."""
    with opened_client(server, api_key_file) as client:
        client.schedules.delete(schedule)
    typer.echo(json_line({"deleted": schedule}) if as_json else f"{schedule} is deleted")


# Inside


def _times(at: str | None, starts: str | None, ends: str | None) -> dict[str, Any]:
    return {"at": _moment("--at", at), "starts_at": _moment("--starts", starts), "ends_at": _moment("--ends", ends)}


def _moment(option: str, text: str | None) -> datetime | None:
    """A time with its zone. InvalidRequest."""
    from interleaf.errors import InvalidRequest, shown

    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(option, f"{shown(text)!r} is no time.", "Write it like 2030-01-31T08:00+01:00.") from error
    if found.tzinfo is None:
        raise InvalidRequest(option, f"{shown(text)!r} has no time zone.", "Write it like 2030-01-31T08:00+01:00.")
    return found


def _variables(values: list[str]) -> dict[str, Any]:
    """By name the value, or all of them in their order when a name comes several times. InvalidRequest."""
    from interleaf.errors import InvalidRequest, shown

    found: dict[str, Any] = {}
    for pair in values:
        name, sign, value = pair.partition("=")
        name = name.strip()
        if not sign or not name:
            raise InvalidRequest("--set", f"{shown(pair)!r} names no value.", "Write it as harbour=Brest.")
        before = found.get(name)
        found[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return found
