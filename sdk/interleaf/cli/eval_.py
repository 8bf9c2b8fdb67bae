"""`interleaf eval`: quality numbers, computed by the workflow's own code."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="Measure placement, retrieval and outline on any set of articles in the format of docs/quality.md.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

IN = typer.Argument(..., metavar="IN.jsonl", help="Tasks without answers, one JSON object a line.")
OUT = typer.Option(..., "--out", "-o", help="Predictions, one JSON object a line.")


@app.command()
def placement(
    tasks: Path = IN,
    images: Path = typer.Option(..., "--images", help="Folder that the tasks' picture paths start from."),
    out: Path = OUT,
) -> None:
    """Put the picture back: where in the text does each picture of the bag stand?"""
    _enter()
    from evals.placement import run

    run(tasks, images, out)


@app.command()
def retrieval(
    tasks: Path = IN,
    images: Path = typer.Option(..., "--images", help="Folder that the catalog's picture paths start from."),
    catalog: Path = typer.Option(..., "--catalog", help="articles.jsonl: the pictures' captions."),
    out: Path = OUT,
) -> None:
    """Find each place's picture in a library of all pictures, by the words around the place."""
    _enter()
    from evals.retrieval import run

    run(tasks, images, catalog, out)


@app.command()
def outline(tasks: Path = IN, out: Path = OUT) -> None:
    """Where do headings belong in a text without them?"""
    _enter()
    from evals.outline import run

    run(tasks, out)


@app.command()
def report(
    set_dir: Path = typer.Argument(..., help="A set: a folder with articles.jsonl and images/."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Also write the table as Markdown."),
    quick: bool = typer.Option(False, "--quick", help="Leave out the length measure, which composes whole pieces."),
) -> None:
    """Make the tasks, run, score, and print one table beside the baselines."""
    _enter()
    from evals.report import report as make_report

    make_report(set_dir, out, quick=quick)


def _enter() -> None:
    from interleaf import approot

    approot.enter()
