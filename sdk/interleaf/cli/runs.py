"""`interleaf runs`: what was begun, and what waits."""

from __future__ import annotations

import json
from pathlib import Path

import typer


def runs(
    home: Path | None = typer.Option(None, "--home", help="Data folder (default: INTERLEAF_HOME)."),
    as_json: bool = typer.Option(False, "--json", help="For machines."),
) -> None:
    """List the runs of this data folder: finished, unfinished, waiting for an answer.

    Go on with one: interleaf compose --resume RUN --out out/
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from interleaf import approot

    approot.enter()
    from workers.run.run_folder import list_runs
    from workers.settings import settings

    rows = list_runs((home.absolute() / "runs") if home else settings().runs_dir)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("run", "state", "instruction")
    for row in rows:
        table.add_row(row["run_id"], row["state"], Text(row["instruction"]))
    Console().print(table if rows else "no runs yet")
