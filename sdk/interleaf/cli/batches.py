"""`interleaf batches`: many pieces of one brief, made by a service."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

import typer

from interleaf.cli.batch_table import batch_sheet, batch_table, item_table, result_table
from interleaf.cli.item_file import read_items
from interleaf.cli.printing import json_line, say
from interleaf.cli.server_option import KeyFileOption, ServerOption, opened_client

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Many pieces of one brief: create, variants, list, show, items, wait, results, cancel, retry, delete.",
    epilog="""
Where the service is and your key stand in INTERLEAF_SERVER and INTERLEAF_API_KEY, or --server and --api-key-file.

Start here: interleaf batches create brief.yaml harbours.csv --name "Tides of all harbours"

A brief may hold placeholders, which each item fills in: the names of its variables, {{ number }}, {{ date }}, …
""",
)

_BATCH: Final = typer.Argument(..., metavar="BATCH", help="A batch's id, as it was printed.")
_BRIEF: Final = typer.Argument(..., help="A brief in YAML or JSON; its texts may hold placeholders.")
_NAME: Final = typer.Option(None, "--name", help="A label for people.")
_JSON: Final = typer.Option(False, "--json", help="JSON on standard output, for machines.")


@app.command(
    epilog="""
Examples:

  interleaf batches create brief.yaml harbours.csv         whose first row is: custom_id,harbour

  interleaf batches create brief.yaml harbours.jsonl       of {"custom_id": "a", "variables": {"harbour": "Brest"}}
"""
)
def create(
    brief: Path = _BRIEF,
    items: Path = typer.Argument(..., help="A JSON Lines or CSV file with the items."),
    name: str | None = _NAME,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Make a piece for each item; the files of the brief are sent along. Prints the batch's id."""
    given = read_items(items)
    with opened_client(server, api_key_file) as client:
        made = client.batches.create(brief, given, name=name)
    typer.echo(made.model_dump_json() if as_json else made.id)
    if refused := made.counts.get("refused", 0):
        say(f"{refused:,} of {made.item_count:,} are refused: interleaf batches items {made.id}", "yellow", error=True)


@app.command(epilog="Example: interleaf batches variants brief.yaml --count 4")
def variants(
    brief: Path = _BRIEF,
    count: int = typer.Option(..., "--count", min=2, max=50, help="How many."),
    first_seed: int | None = typer.Option(
        None, "--first-seed", min=0, help="Of the first; the next ones count up. [0]"
    ),
    name: str | None = _NAME,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Make several variants of one piece, each with another seed. Prints the batch's id."""
    with opened_client(server, api_key_file) as client:
        made = client.batches.variants(brief, count, first_seed=first_seed, name=name)
    typer.echo(made.model_dump_json() if as_json else made.id)


@app.command("list", epilog="Example: interleaf batches list --json | jq -r '.batches[].id'")
def list_(
    limit: int = typer.Option(20, min=1, max=100, help="At most this many."),
    after: str | None = typer.Option(None, metavar="BATCH", help="Go on after this one: older ones."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """List your batches, newest first."""
    with opened_client(server, api_key_file) as client:
        page = client.batches.list(limit=limit, after=after)
    if as_json:
        lines = [line.model_dump(mode="json") for line in page.data]
        typer.echo(json_line({"batches": lines, "next": page.last_id if page.has_more else None}))
        return
    if not page.data:
        say("no batches")
        return
    batch_table(page.data)
    if page.has_more:
        say(f"older ones: --after {page.last_id}", "dim")


@app.command(epilog="Example: interleaf batches show BATCH")
def show(
    batch: str = _BATCH,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Show a batch: how many of its items are in each state."""
    with opened_client(server, api_key_file) as client:
        found = client.batches.get(batch)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        batch_sheet(found)


@app.command(epilog="Example: interleaf batches items BATCH --limit 100")
def items(
    batch: str = _BATCH,
    limit: int = typer.Option(20, min=1, max=100, help="At most this many."),
    after: str | None = typer.Option(None, metavar="NUMBER", help="Go on after this item."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """List the items of a batch, in the order in which they were given."""
    with opened_client(server, api_key_file) as client:
        page = client.batches.items(batch, limit=limit, after=after)
    if as_json:
        lines = [line.model_dump(mode="json") for line in page.data]
        typer.echo(json_line({"items": lines, "next": page.last_id if page.has_more else None}))
        return
    item_table(page.data)
    if page.has_more:
        say(f"further ones: --after {page.last_id}", "dim")


@app.command(epilog="Example: interleaf batches wait BATCH --timeout 3600")
def wait(
    batch: str = _BATCH,
    timeout: float | None = typer.Option(None, "--timeout", min=0, metavar="SECONDS", help="Wait no longer."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Wait until every item has ended, and show the batch. Exit code 5 when the time is over before."""
    with opened_client(server, api_key_file) as client:
        found = client.batches.wait(batch, timeout)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        batch_sheet(found)


@app.command(epilog="Example: interleaf batches results BATCH --ranked --json > results.jsonl")
def results(
    batch: str = _BATCH,
    ranked: bool = typer.Option(False, "--ranked", help="The best pieces first, by their reports."),
    limit: int | None = typer.Option(None, min=1, help="The first ones only."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = typer.Option(False, "--json", help="JSON Lines on standard output, for machines."),
) -> None:
    """Tell what became of every item, with the score of its piece."""
    with opened_client(server, api_key_file) as client:
        found = islice(client.batches.results(batch, ranked=ranked), limit)
        if as_json:
            for one in found:
                typer.echo(one.model_dump_json())
        else:
            result_table(list(found))


@app.command(epilog="Example: interleaf batches cancel BATCH")
def cancel(
    batch: str = _BATCH,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Order nothing more, and stop the jobs that have not ended."""
    with opened_client(server, api_key_file) as client:
        found = client.batches.cancel(batch)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        batch_sheet(found)


@app.command(epilog="Example: interleaf batches retry BATCH")
def retry(
    batch: str = _BATCH,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Go on with the items that failed, expired or were canceled."""
    with opened_client(server, api_key_file) as client:
        found = client.batches.retry(batch)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        batch_sheet(found)


@app.command(epilog="Example: interleaf batches delete BATCH")
def delete(
    batch: str = _BATCH,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Delete the record of a batch. Its jobs and documents stay."""
    with opened_client(server, api_key_file) as client:
        client.batches.delete(batch)
    typer.echo(json_line({"deleted": batch}) if as_json else f"{batch} is deleted")
