"""`interleaf lessons`: a person's own illustrated articles become a set from which a model learns to write so."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from interleaf.cli.printing import json_line, say
from interleaf.cli.progress_bar import stage_bar

if TYPE_CHECKING:
    from workers.teaching.lessons import TaughtArticle

__all__ = ["EPILOG", "lessons"]

INTERRUPTED: Final = 130
DEFAULT_ORDERS: Final = 6

EPILOG = """
Examples:

  interleaf lessons articles/ --out lessons/

  interleaf lessons articles/ --out lessons/ --instruction "Write a travel report: {title}"

An article is a Markdown file with its pictures beside it, anywhere under ARTICLES:

  # A morning at the lock

  ## Before sunrise

  The keeper oils the gates while it is still dark.

  ![The lower gate at dawn, half open](pictures/gate.jpg)

One line `# Title`; sections begin with `## Heading`; a picture stands on a line of its own after the paragraph that \
it belongs to, with its caption in the brackets or as a line in *italics* below it. What a model learns is how you \
plan, your sentences, where your pictures stand, what their captions say and which picture you chose.

DIR then holds set.json, the pictures, and lessons.json, which tells `interleaf tune` how pictures are looked at. \
Articles and pictures are only read. The same articles and --seed give the same set.

Next: interleaf tune MODEL DIR/set.json --name NAME, then: interleaf compose brief.yaml --writer MODEL+NAME

Exit codes: 0 done · 2 an article, a picture or an option is wrong, with what · 3 the disk is full or read-only.
"""


def lessons(
    articles: Path = typer.Argument(..., metavar="ARTICLES", help="The folder of your articles and their pictures."),
    out: Path = typer.Option(..., "--out", "-o", metavar="DIR", help="Folder for the set."),
    instruction: str | None = typer.Option(
        None,
        "--instruction",
        "-i",
        help="What you would have asked to get such an article; {title} stands for its title. Say it in the words that "
        'your briefs will have (default: "Write an illustrated article: {title}").',
    ),
    orders: int = typer.Option(
        DEFAULT_ORDERS,
        min=1,
        max=1_000,
        help="How often the choice at each picture is taught, each time among other pictures in another order.",
    ),
    repeats: int = typer.Option(
        1,
        min=1,
        max=1_000,
        help="How often plan, text, places and captions stand in the set, so that many --orders do not crowd them out.",
    ),
    seed: int = typer.Option(0, min=0, help="Of those orders."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on standard output, for machines."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress bar."),
) -> None:
    """Make a set for `interleaf tune` out of your own illustrated articles."""
    from interleaf import approot

    approot.enter()
    from workers.teaching.lesson_note import write_note
    from workers.teaching.lessons import DEFAULT_INSTRUCTION, SET_FILE, read_articles, write_lessons

    _refuse_no_folder(articles)
    _refuse_blank(instruction)
    data = out / SET_FILE
    try:
        with stage_bar("articles", quiet or as_json) as show:
            read, pictures = read_articles(articles, DEFAULT_INSTRUCTION if instruction is None else instruction)
            _refuse_own_output(out, articles)
            write_note(data)  # first: a set without it would be taught otherwise than it is used
            count = write_lessons(read, pictures, out, seed=seed, orders=orders, repeats=repeats, on_article=show)
    except KeyboardInterrupt:
        say("interrupted; the same command begins anew", "yellow", error=True)
        raise typer.Exit(INTERRUPTED) from None
    following = ["interleaf", "tune", "MODEL", str(data), "--name", "NAME"]
    if as_json:
        found = {"set": str(data), "articles": len(read), "pictures": len(pictures), "lessons": count}
        typer.echo(json_line({**found, "next": following}))
        return
    _tell(read, len(pictures), count, data, following)


# Inside


def _refuse_no_folder(articles: Path) -> None:
    from interleaf.errors import SourceUnreadable

    if not articles.is_dir():
        problem = "is a file." if articles.is_file() else "is no folder here."
        raise SourceUnreadable(str(articles), problem, "Give the folder that holds your articles and their pictures.")


def _refuse_blank(instruction: str | None) -> None:
    from interleaf.errors import InvalidBrief

    if instruction is not None and not instruction.strip():
        raise InvalidBrief("--instruction", "is empty.", "Say what you would have asked, or leave it out.")


def _refuse_own_output(out: Path, articles: Path) -> None:
    """A set among the articles would be mistaken for one of them, or take the place of their pictures."""
    from interleaf.errors import OutputUnwritable

    if out.resolve().is_relative_to(articles.resolve()):
        raise OutputUnwritable(str(out), "lies among the articles.", "Name a folder outside of them.")


def _tell(read: tuple[TaughtArticle, ...], pictures: int, count: int, data: Path, following: list[str]) -> None:
    said = (_counted(count, "lesson"), _counted(len(read), "article"), _counted(pictures, "picture"))
    say(f"{said[0]} from {said[1]} with {said[2]}")
    if not pictures:
        say("no article shows a picture: nothing is taught about choosing them", "yellow", error=True)
    say(str(data))
    say(f"next: {shlex.join(following)}", "dim", error=True)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
