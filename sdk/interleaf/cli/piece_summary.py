"""Piece summary: what a composition came to: its writer, lengths, pictures, notes and files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from interleaf.schema import Article

__all__ = ["tell_piece"]


def tell_piece(run_id: str, article: Article, files: Sequence[Path], as_json: bool) -> None:
    """Say what was made, and for a program where: `as_json` as one object, else the files line by line on standard
    output and the rest on standard error."""
    report = article.report
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "run_id": run_id,
                    "title": article.title,
                    "writer": article.run.writer,
                    "files": [str(f) for f in files],
                    "report": report.model_dump(mode="json"),
                },
                ensure_ascii=False,
            )
        )
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    table = Table(title=Text(article.title), title_style="bold", show_header=False, title_justify="left")
    table.add_row("writer", Text(article.run.writer))
    wanted = f" of {report.words_wanted} wanted" if report.words_wanted else ""
    table.add_row("words", f"{report.words}{wanted}")
    table.add_row("pictures", f"{report.pictures_placed} placed, {report.pictures_considered} considered")
    table.add_row("sentences", f"{report.sentences}, {report.sentences_with_span} with their source")
    for warning in report.warnings[:12]:
        table.add_row(Text("note", style="yellow"), Text(warning.message))
    if len(report.warnings) > 12:
        table.add_row(Text("note", style="yellow"), f"and {len(report.warnings) - 12} more in article.json")
    console.print(table)
    # Paths go to standard output, so that a script can take them.
    for file in files:
        typer.echo(str(file))
