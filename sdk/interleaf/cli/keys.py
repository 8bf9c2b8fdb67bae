"""`interleaf keys`: the keys of a service, for who may manage them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import typer

from interleaf.cli.printing import console, json_line, say
from interleaf.cli.server_option import KeyFileOption, ServerOption, opened_client

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Keys of a service: list, create, revoke. Needs a key with the scope admin.",
    epilog="Start here: interleaf keys create newsroom --scope jobs:read --scope jobs:write     prints the key once",
)

_JSON: Final = typer.Option(False, "--json", help="JSON on standard output, for machines.")


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
    from rich.table import Table
    from rich.text import Text

    table = Table("key", "begins with", "name", "may", "created", "revoked")
    for key in page.data:
        revoked = "" if key.revoked_at is None else f"{key.revoked_at.astimezone():%Y-%m-%d}"
        created = f"{key.created_at.astimezone():%Y-%m-%d}"
        table.add_row(key.id, Text(key.prefix), Text(key.name), ", ".join(key.scopes), created, revoked)
    console().print(table)
    if page.has_more:
        say(f"older ones: --after {page.last_id}", "dim")


@app.command(
    epilog="""
Examples:

  interleaf keys create newsroom --scope jobs:read --scope jobs:write

  interleaf keys create prometheus --scope metrics:read > key.txt

  interleaf keys create students --scope jobs:read --scope jobs:write --max-active-jobs 3 --requests-per-minute 60

Scopes: jobs:read, jobs:write, library:write, metrics:read, admin (everything, and keys).
"""
)
def create(
    name: str = typer.Argument(..., help="For people, to tell keys apart."),
    scope: list[str] = typer.Option(..., "--scope", help="What it may do. Repeatable."),
    max_active_jobs: int | None = typer.Option(None, min=0, help="Jobs of it that may be under way at a time."),
    max_stored_bytes: int | None = typer.Option(None, min=0, help="Bytes that it may keep."),
    requests_per_minute: int | None = typer.Option(None, min=1, help="Requests that it may send."),
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
        )
    if as_json:
        typer.echo(made.model_dump_json())
        return
    say(f"{made.id}: keep it now, it is not shown again", "yellow", error=True)
    typer.echo(made.secret)


@app.command(epilog="Example: interleaf keys revoke key_01kaj5v1c8m2n4p6q8r0s2t4v6")
def revoke(
    key: str = typer.Argument(..., metavar="KEY", help="Its id, as `interleaf keys list` shows it."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Revoke a key, at once and for ever. What was made with it stays."""
    with opened_client(server, api_key_file) as client:
        gone = client.keys.revoke(key)
    typer.echo(gone.model_dump_json() if as_json else f"{gone.id} ({gone.name}) is revoked")
