"""`interleaf adapters`: what models of this machine were taught, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from interleaf.cli.printing import console, json_line, say, size_of

if TYPE_CHECKING:
    from model.weights.adapter_shelf import AdapterShelf, ShelvedAdapter

__all__ = ["app"]

NONE_YET = "no adapters yet; teach one: interleaf tune MODEL SET --name NAME"

app = typer.Typer(
    no_args_is_help=True,
    help="What models were taught: list, remove.",
    epilog="Teach one: interleaf tune MODEL SET --name NAME     then: interleaf compose brief.yaml --writer MODEL+NAME",
)

_HOME = typer.Option(None, "--home", metavar="DIR", help="Data folder (default: INTERLEAF_HOME).")
_JSON = typer.Option(False, "--json", help="One JSON object on standard output, for machines.")


@app.command("list", epilog="Example: interleaf adapters list --json")
def list_(home: Path | None = _HOME, as_json: bool = _JSON) -> None:
    """List the adapters: of which model, how they were taught, and the writer's name that a brief says."""
    from rich.table import Table
    from rich.text import Text

    shelf = _shelf(home)
    found = shelf.list()
    if as_json:
        typer.echo(json_line({"adapters": [_record(adapter) for adapter in found]}))
        return
    if not found:
        say(NONE_YET)
        return
    table = Table("name", "model", "task", "rank", "steps", "size", "writer")
    for adapter in found:
        made, size = adapter.record, size_of(adapter.nbytes)
        cells = (
            [adapter.name, made.base, made.task, str(made.rank), f"{made.steps:,}", size, f"{made.base}+{adapter.name}"]
            if made
            else [adapter.name, "?", "", "", "", size, adapter.problem]
        )
        table.add_row(*(Text(cell) for cell in cells))
    console().print(table)


@app.command(
    epilog="""
Example: interleaf adapters remove house-style --yes

Exit codes: 0 done · 2 no adapter of that name · 3 it may not be removed · 5 a model is being taught into it.
"""
)
def remove(
    names: list[str] = typer.Argument(..., metavar="NAME..."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    home: Path | None = _HOME,
    as_json: bool = _JSON,
) -> None:
    """Remove adapters, also those whose teaching was not finished. Models and sets stay."""
    shelf = _shelf(home)
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        shelf.path(name)  # before anything is asked or removed
    if not yes:
        typer.confirm(f"Remove {', '.join(wanted)}?", abort=True, err=True)
    freed = sum(shelf.remove(name) for name in wanted)
    if as_json:
        typer.echo(json_line({"removed": wanted, "freed_bytes": freed}))
    else:
        say(f"{', '.join(wanted)} removed · {size_of(freed)} freed")


# Inside


def _shelf(home: Path | None) -> AdapterShelf:
    from interleaf import approot

    approot.enter()
    from model.weights.adapter_shelf import AdapterShelf
    from workers.settings import settings

    return AdapterShelf(home.absolute() / "adapters" if home else settings().adapters_dir)


def _record(adapter: ShelvedAdapter) -> dict[str, Any]:
    made = (
        {**adapter.record.model_dump(mode="json"), "writer": f"{adapter.record.base}+{adapter.name}"}
        if adapter.record
        else {"problem": adapter.problem}
    )
    return {"name": adapter.name, "folder": str(adapter.folder), "bytes": adapter.nbytes, **made}
