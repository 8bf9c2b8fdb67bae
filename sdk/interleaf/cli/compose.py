"""`interleaf compose`: a brief becomes a piece, with the stages shown live and a summary at the end."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from interleaf.cli.piece_summary import tell_piece
from interleaf.cli.printing import say
from interleaf.cli.stage_display import stage_display

if TYPE_CHECKING:
    from interleaf.composer import ComposedArticle
    from interleaf.schema import Event

INTERRUPTED: Final = 130
EXTRACTIVE: Final = "extractive"

EPILOG = """
Examples:

  interleaf compose brief.yaml --out out/

  interleaf compose --instruction "How tides work" --notes notes/ --pictures photos/ --length 900 --out out/

  interleaf compose brief.yaml --ask-outline        stops with exit code 7 and a run id; days later:

  interleaf compose --resume RUN --approve --out out/

  interleaf compose brief.yaml --writer xc25        a model of `interleaf models list`; MODEL+NAME with an adapter

Without --writer nothing is invented: sentences are taken from your notes. A language model also writes without notes, \
and looks at the pictures; INTERLEAF_MODEL_DEVICE and INTERLEAF_MODEL_WEIGHTS say where and in what numbers it runs.
"""


def compose(
    brief: Path | None = typer.Argument(None, help="A brief in YAML or JSON; the options below override its fields."),
    instruction: str | None = typer.Option(None, "--instruction", "-i", help="What the piece should be about."),
    title: str | None = typer.Option(None, help="The title to use."),
    notes: list[Path] = typer.Option([], "--notes", "-n", help="Markdown or text files, or folders. Repeatable."),
    pictures: list[Path] = typer.Option([], "--pictures", "-p", help="Pictures: files, folders, zips. Repeatable."),
    collection: list[str] = typer.Option(
        [], "--collection", "-c", help="A library collection to draw from. Repeatable."
    ),
    length: int | None = typer.Option(None, "--length", "-l", help="Words wanted (CJK: characters)."),
    pictures_wanted: str | None = typer.Option(None, help="A number, or auto."),
    language: str | None = typer.Option(None, help="BCP 47 tag such as en, de, zh; auto tells it from the notes."),
    licence: str | None = typer.Option(None, help="Picture licences: any, known, open, commercial, or CC-BY-*,CC0-*."),
    format: str | None = typer.Option(None, "--format", "-f", help="html, md; several with commas."),
    theme: str | None = typer.Option(None, help="The look of the page."),
    writer: str | None = typer.Option(
        None,
        "--writer",
        "-w",
        metavar="NAME",
        help="extractive (default), a model's name, or MODEL+ADAPTER (interleaf models list, adapters list).",
    ),
    seed: int | None = typer.Option(None, help="The same seed and brief give the same bytes."),
    out: Path = typer.Option(Path("out"), "--out", "-o", help="Folder for article.json and the formats."),
    ask_outline: bool = typer.Option(False, "--ask-outline", help="Stop for approval of the outline."),
    ask_pictures: bool = typer.Option(False, "--ask-pictures", help="Stop for approval of the pictures."),
    resume: str | None = typer.Option(None, "--resume", metavar="RUN", help="Go on with a run that was stopped."),
    run_id: str | None = typer.Option(None, "--run-id", help="Name the run; an existing one is gone on with."),
    approve: bool = typer.Option(False, "--approve", help="With --resume: answer yes to what the run asks."),
    cancel: bool = typer.Option(False, "--cancel", help="With --resume: answer no."),
    answer: Path | None = typer.Option(None, "--answer", help="With --resume: a YAML/JSON file with an edited answer."),
    home: Path | None = typer.Option(None, "--home", help="Data folder for runs (default: INTERLEAF_HOME)."),
    library: Path | None = typer.Option(None, "--library", help="Picture library (default: in the data folder)."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object instead of the summary."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress display."),
) -> None:
    """Compose an illustrated article from notes and pictures."""
    from interleaf.composer import Composer
    from interleaf.errors import InvalidBrief

    composer = Composer(home=home, library=library)
    if resume is not None:
        if brief is not None or instruction is not None or writer is not None:
            problem = "goes on with the run's own brief."
            raise InvalidBrief("--resume", problem, "Leave BRIEF, --instruction and --writer out.")
        wanted_formats: tuple[str, ...] | None = _formats(format)
        _check_writable(out)
        events = composer.stream_resumed(resume, _answer(approve, cancel, answer))
    else:
        if approve or cancel or answer:
            raise InvalidBrief("--approve", "answers a run that waits.", "Name it with --resume RUN.")
        overrides = _overrides(
            instruction=instruction,
            title=title,
            notes=notes,
            pictures=pictures,
            collection=collection,
            length=length,
            pictures_wanted=pictures_wanted,
            language=language,
            licence=licence,
            theme=theme,
            writer=writer,
            seed=seed,
            format=format,
            ask_outline=ask_outline,
            ask_pictures=ask_pictures,
        )
        asked, base = _brief(brief, overrides)
        wanted_formats = asked.formats
        _check_formats(wanted_formats, asked.theme)
        _check_writable(out)
        if asked.writer != EXTRACTIVE and not quiet and sys.stderr.isatty():
            say(f"loading {asked.writer} …", "dim", error=True)  # a large one takes a minute before anything moves
        events = composer.stream_from(asked, base, run_id)
    last: Event | None = None
    try:
        with stage_display(quiet or as_json) as show:
            for last in events:
                show(last)
            piece = composer.article
            if piece is None or (last is not None and last.kind == "needs_input"):
                assert last is not None, "a run ends with an article, a question or an error"
                _tell_question(last, _resuming(last, out, home), as_json)
                raise typer.Exit(7)
            files = _write(piece, out, wanted_formats or composer.last_brief.formats, show)
    except KeyboardInterrupt:
        say(f"interrupted; go on with: {_resuming(last, out, home)}" if last else "interrupted", "yellow", error=True)
        raise typer.Exit(INTERRUPTED) from None
    tell_piece(piece, files, as_json)


def _formats(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _overrides(**given: Any) -> dict[str, Any]:
    """The brief's fields that the options name. Paths start from the current folder, so they are made absolute."""
    fields: dict[str, Any] = {}
    for option, field in (
        ("instruction", "instruction"),
        ("title", "title"),
        ("length", "length_words"),
        ("language", "language"),
        ("theme", "theme"),
        ("writer", "writer"),
        ("seed", "seed"),
    ):
        if given[option] is not None:
            fields[field] = given[option]
    if given["notes"]:
        fields["sources"] = [str(p.absolute()) for p in given["notes"]]
    if given["pictures"]:
        fields["pictures"] = [str(p.absolute()) for p in given["pictures"]]
    if given["collection"]:
        fields["libraries"] = given["collection"]
    wanted = given["pictures_wanted"]
    if wanted is not None:
        fields["pictures_wanted"] = int(wanted) if wanted.isdecimal() else wanted
    if given["licence"] is not None:
        names = [part.strip() for part in given["licence"].split(",")]
        fields["licence_policy"] = names[0] if len(names) == 1 else names
    if (formats := _formats(given["format"])) is not None:
        fields["formats"] = formats
    approvals = {k: True for k in ("outline", "pictures") if given[f"ask_{k}"]}
    if approvals:
        fields["approvals"] = approvals
    return fields


def _brief(path: Path | None, overrides: dict[str, Any]) -> tuple[Any, Path]:
    from interleaf.brief_file import brief_from, read_brief
    from interleaf.errors import InvalidBrief

    if path is None:
        if "instruction" not in overrides:
            raise InvalidBrief("BRIEF", "is missing.", "Give a brief file, or --instruction with --notes.")
        return brief_from(overrides), Path.cwd()
    brief, base = read_brief(path)
    return brief_from({**brief.model_dump(), **overrides}), base


def _answer(approve: bool, cancel: bool, file: Path | None) -> Any:
    from interleaf.errors import InvalidBrief

    if sum((approve, cancel, file is not None)) > 1:
        raise InvalidBrief("--approve, --cancel, --answer", "contradict each other.", "Give one of them.")
    if approve:
        return {"decision": "approve"}
    if cancel:
        return {"decision": "cancel"}
    if file is None:
        return None
    import yaml

    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidBrief("--answer", f"{file.name} cannot be read: {error}", "Give a YAML or JSON file.") from error
    if not isinstance(value, dict):
        raise InvalidBrief("--answer", f"{file.name} holds no fields.", "Write `decision: edit` and the edited part.")
    return {"decision": "edit", **value}


def _check_formats(formats: tuple[str, ...], theme: str) -> None:
    from interleaf import approot
    from interleaf.errors import Unsupported

    approot.enter()
    from templates.press import format_of, themes

    for name in formats:
        format_of(name)
    if theme not in themes():
        raise Unsupported("theme", f"there is no theme {theme!r}.", f"Choose one of: {', '.join(themes())}.")


def _check_writable(out: Path) -> None:
    """Refuse before the work begins, not after it; leave nothing behind."""
    from interleaf.whole_file import write_whole

    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    probe = out / ".interleaf-probe"
    try:
        write_whole(probe, b"")
    finally:
        if out.is_dir():
            probe.unlink(missing_ok=True)
        for folder in missing:
            if folder.is_dir():
                folder.rmdir()


def _write(piece: ComposedArticle, out: Path, formats: tuple[str, ...], show: Any) -> list[Path]:
    from interleaf.schema import Event

    last = 10**9
    files = [piece.save(out / "article.json")]
    for i, name in enumerate(formats):
        files.append(piece.export(name, out))
        show(
            Event(
                id=last + i,
                run_id=piece.run_id,
                kind="progress",
                stage="render",
                share_done=(i + 1) / len(formats),
                message=files[-1].name,
            )
        )
    return files


def _resuming(event: Event, out: Path, home: Path | None) -> str:
    """The command that goes on with the run of an event."""
    where = ["--home", str(home)] if home else []
    return shlex.join(["interleaf", "compose", "--resume", event.run_id, "--out", str(out), *where])


def _tell_question(event: Event, resuming: str, as_json: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    if as_json:
        typer.echo(json.dumps({"run_id": event.run_id, "needs_input": event.data}, ensure_ascii=False))
        return
    console = Console(stderr=True, highlight=False)
    if event.data.get("asks") == "outline":
        outline = event.data["outline"]
        console.print(Text(outline["title"], style="bold"))
        for section in outline["sections"]:
            words = f" ({section['length_words']} words)" if section["length_words"] else ""
            console.print(Text("  " * (section["level"] - 1) + (section["heading"] or "(opening)") + words))
    else:
        for picture in event.data.get("pictures", ()):
            console.print(Text(f"after block {picture['slot']}: {picture['picture_id'][:12]} {picture['reason']}"))
    say(f"The run waits. Answer with: {resuming} --approve", "yellow", error=True)
    say("or --cancel, or --answer FILE with your edited outline.", "yellow", error=True)
