"""`interleaf keys`: the keys of a service, for who may manage them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from interleaf.cli.printing import console, json_line, say
from interleaf.cli.server_option import KeyFileOption, ServerOption, opened_client

if TYPE_CHECKING:
    from interleaf.service.service_records import ApiKeyRecord

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Keys of a service: list, create, set quotas, revoke. Needs a key with the scope admin.",
    epilog="Start here: interleaf keys create newsroom --scope jobs:read --scope jobs:write     prints the key once",
)

_JSON: Final = typer.Option(False, "--json", help="JSON on standard output, for machines.")
_KEY: Final = typer.Argument(..., metavar="KEY", help="Its id, as `interleaf keys list` shows it.")
NONE: Final = "none"


def _quota(said: str) -> int | str:
    """A whole number from 0 on, or `none`."""
    if said.strip().lower() == NONE:
        return NONE
    if not (said.isascii() and said.isdigit() and len(said) < 16):
        raise typer.BadParameter(f"give a whole number, or {NONE} to take the quota away.")
    return int(said)


def _set_quota(name: str, what: str) -> Any:
    return typer.Option(None, name, metavar="N|none", parser=_quota, help=what)


@app.command("list", epilog="Example: interleaf keys list --limit 100")
def list_(
    limit: int = typer.Option(20, min=1, max=100, help="At most this many."),
    after: str | None = typer.Option(None, metavar="KEY", help="Go on after this key: older ones."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """List the keys, newest first, revoked ones too; never their secrets."""
    with opened_client(server, api_key_file) as client:
        page = client.keys.list(limit=limit, after=after)
    if as_json:
        keys = [key.model_dump(mode="json") for key in page.data]
        typer.echo(json_line({"keys": keys, "next": page.last_id if page.has_more else None}))
        return
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(Column("key", min_width=30), "begins with", "name", "may", "a day", "created", "revoked")
    for key in page.data:
        revoked = "" if key.revoked_at is None else f"{key.revoked_at.astimezone():%Y-%m-%d}"
        created = f"{key.created_at.astimezone():%Y-%m-%d}"
        may = ", ".join(key.scopes)
        table.add_row(key.id, Text(key.prefix), Text(key.name), may, _per_day(key), created, revoked)
    console().print(table)
    if page.has_more:
        say(f"older ones: --after {page.last_id}", "dim")


@app.command(
    epilog="""
Examples:

  interleaf keys create newsroom --scope jobs:read --scope jobs:write

  interleaf keys create prometheus --scope metrics:read > key.txt

  interleaf keys create students --scope jobs:read --scope jobs:write --max-active-jobs 3 --max-jobs-per-day 50

Scopes: jobs:read, jobs:write, library:write, metrics:read, admin (everything, and keys).
"""
)
def create(
    name: str = typer.Argument(..., help="For people, to tell keys apart."),
    scope: list[str] = typer.Option(..., "--scope", help="What it may do. Repeatable."),
    max_active_jobs: int | None = typer.Option(None, min=0, help="Jobs of it that may be under way at a time."),
    max_stored_bytes: int | None = typer.Option(None, min=0, help="Bytes that it may keep."),
    requests_per_minute: int | None = typer.Option(None, min=1, help="Requests that it may send."),
    max_jobs_per_day: int | None = typer.Option(None, min=0, help="Jobs that it may order on a day (UTC)."),
    max_seconds_per_day: int | None = typer.Option(None, min=0, help="Seconds that its jobs may work on a day."),
    max_tokens_per_day: int | None = typer.Option(None, min=0, help="Tokens that models may write for it on a day."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Make a key and print its secret, which is told this once. A quota that is left out is the service's own."""
    with opened_client(server, api_key_file) as client:
        made = client.keys.create(
            name,
            scope,
            max_active_jobs=max_active_jobs,
            max_stored_bytes=max_stored_bytes,
            requests_per_minute=requests_per_minute,
            max_jobs_per_day=max_jobs_per_day,
            max_seconds_per_day=max_seconds_per_day,
            max_tokens_per_day=max_tokens_per_day,
        )
    if as_json:
        typer.echo(made.model_dump_json())
        return
    say(f"{made.id}: keep it now, it is not shown again", "yellow", error=True)
    typer.echo(made.secret)


@app.command(
    "set",
    epilog="""
Examples:

  interleaf keys set KEY --max-jobs-per-day 50 --max-seconds-per-day 7200

  interleaf keys set KEY --max-jobs-per-day none
""",
)
def set_(
    key: str = _KEY,
    name: str | None = typer.Option(None, "--name", help="Another name."),
    max_active_jobs: Any = _set_quota("--max-active-jobs", "Jobs of it that may be under way at a time."),
    max_stored_bytes: Any = _set_quota("--max-stored-bytes", "Bytes that it may keep."),
    requests_per_minute: Any = _set_quota("--requests-per-minute", "Requests that it may send."),
    max_jobs_per_day: Any = _set_quota("--max-jobs-per-day", "Jobs that it may order on a day (UTC)."),
    max_seconds_per_day: Any = _set_quota("--max-seconds-per-day", "Seconds that its jobs may work on a day."),
    max_tokens_per_day: Any = _set_quota("--max-tokens-per-day", "Tokens that models may write for it on a day."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Change the name or quotas of a key, at once; what is left out stays. `none` leaves a quota to the service's own;
    of those for a day it has none. What the key has used stays (interleaf usage)."""
    said = {
        "name": name,
        "max_active_jobs": max_active_jobs,
        "max_stored_bytes": max_stored_bytes,
        "requests_per_minute": requests_per_minute,
        "max_jobs_per_day": max_jobs_per_day,
        "max_seconds_per_day": max_seconds_per_day,
        "max_tokens_per_day": max_tokens_per_day,
    }
    changes = {
        field: None if value == NONE and field != "name" else value
        for field, value in said.items()
        if value is not None
    }
    if not changes:
        raise typer.BadParameter("say what is to be changed: --name, or a quota.")
    with opened_client(server, api_key_file) as client:
        changed = client.keys.update(key, **changes)
    if as_json:
        typer.echo(changed.model_dump_json())
        return
    say(f"{changed.id} ({changed.name}): {_quotas(changed)}")


@app.command(epilog="Example: interleaf keys revoke key_01kaj5v1c8m2n4p6q8r0s2t4v6")
def revoke(
    key: str = _KEY,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Revoke a key, at once and for ever. What was made with it stays."""
    with opened_client(server, api_key_file) as client:
        gone = client.keys.revoke(key)
    typer.echo(gone.model_dump_json() if as_json else f"{gone.id} ({gone.name}) is revoked")


def _per_day(key: ApiKeyRecord) -> str:
    said = (
        (key.max_jobs_per_day, "jobs"),
        (key.max_seconds_per_day, "seconds"),
        (key.max_tokens_per_day, "tokens"),
    )
    return ", ".join(f"{most:,} {what}" for most, what in said if most is not None)


def _quotas(key: ApiKeyRecord) -> str:
    said = (
        (key.max_active_jobs, "jobs at a time"),
        (key.max_stored_bytes, "bytes"),
        (key.requests_per_minute, "requests a minute"),
    )
    own = [f"{most:,} {what}" for most, what in said if most is not None]
    if per_day := _per_day(key):
        own.append(f"{per_day} a day")
    return ", ".join(own) or "no quotas of its own"
