"""`interleaf compose`: a brief becomes a piece, with the stages shown live and a summary at the end."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from interleaf.cli.estimate_display import tell_estimate
from interleaf.cli.job_course import INTERRUPTED, JobCourse, respond
from interleaf.cli.piece_summary import tell_piece
from interleaf.cli.printing import json_line, say
from interleaf.cli.question_display import answer_of, tell_question
from interleaf.cli.server_option import KeyFileOption, ServerOption, opened_client
from interleaf.cli.stage_display import stage_display

if TYPE_CHECKING:
    from interleaf.composer import ComposedArticle
    from interleaf.schema import Brief, Event

EXTRACTIVE: Final = "extractive"

EPILOG = """
Examples:

  interleaf compose brief.yaml --out out/

  interleaf compose --instruction "How tides work" --notes notes/ --pictures photos/ --length 900 --out out/

  interleaf compose brief.yaml --ask-outline        stops with exit code 7 and a run id; days later:

  interleaf compose --resume RUN --approve --out out/

  interleaf compose brief.yaml --writer xc25        a model of `interleaf models list`; MODEL+NAME with an adapter

  interleaf compose brief.yaml --server http://127.0.0.1:8000 --out out/      a service does it; your notes and \
pictures are sent along (its key: INTERLEAF_API_KEY). Ctrl-C leaves the job running, or cancels it

  interleaf compose brief.yaml --server URL --estimate        what it would take, by what earlier jobs took

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
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    estimate: bool = typer.Option(False, "--estimate", help="With --server: tell what it would take, order nothing."),
    detach: bool = typer.Option(
        False, "--detach", "--no-wait", help="With --server: order it, print the job's id, and end."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object instead of the summary."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress display."),
) -> None:
    """Compose an illustrated article from notes and pictures."""
    from interleaf.composer import Composer
    from interleaf.errors import InvalidBrief

    if server:
        for option, given in (("--home", home), ("--library", library), ("--run-id", run_id)):
            if given is not None:
                problem = "is of this machine, and the service does the work."
                raise InvalidBrief(option, problem, 'Leave it out, or give --server "".')
    elif estimate or detach:
        raise InvalidBrief("--estimate, --detach", "are for a service.", "Name it with --server URL.")
    composer = Composer(home=home, library=library)
    if resume is not None:
        if brief is not None or instruction is not None or writer is not None:
            problem = "goes on with the run's own brief."
            raise InvalidBrief("--resume", problem, "Leave BRIEF, --instruction and --writer out.")
        wanted_formats: tuple[str, ...] | None = _formats(format)
        said = answer_of(approve, cancel, answer)
        _check_writable(out)
        if server:
            _resume_at_service(server, api_key_file, resume, said, out, as_json, quiet)
            return
        events = composer.stream_resumed(resume, said)
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
        if server and estimate:
            with opened_client(server, api_key_file) as client:
                tell_estimate(client.estimate(asked, base=base), as_json)
            return
        _check_formats(wanted_formats, asked.theme)
        if server:
            _order_at_service(server, api_key_file, asked, base, out, as_json, quiet, detach)
            return
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
                tell_question(last.run_id, last.data, _resuming(last, out, home), as_json)
                raise typer.Exit(7)
            files = _write(piece, out, wanted_formats or composer.last_brief.formats, show)
    except KeyboardInterrupt:
        say(f"interrupted; go on with: {_resuming(last, out, home)}" if last else "interrupted", "yellow", error=True)
        raise typer.Exit(INTERRUPTED) from None
    tell_piece(piece.run_id, piece.document, files, as_json)


def _order_at_service(
    server: str,
    key_file: Path | None,
    brief: Brief,
    base: Path,
    out: Path,
    as_json: bool,
    quiet: bool,
    detach: bool,
) -> None:
    """Send the brief and its files, and follow the job to its end; with `detach` print its id alone."""
    if not detach:
        _check_writable(out)
    with opened_client(server, key_file) as client:
        try:
            if not (quiet or detach) and sys.stderr.isatty():
                say(f"sending to {server} …", "dim", error=True)
            job = client.jobs.create(brief, base=base)
        except KeyboardInterrupt:
            say("interrupted before the service answered; whether it has the job: interleaf jobs list", error=True)
            raise typer.Exit(INTERRUPTED) from None
        if detach:
            typer.echo(json_line({"run_id": job.id}) if as_json else job.id)
            return
        JobCourse(client, out, server, key_file, as_json, quiet).follow(job)


def _resume_at_service(
    server: str,
    key_file: Path | None,
    job_id: str,
    answer: dict[str, Any] | None,
    out: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Answer what a job asks, if there is an answer, and follow it to its end."""
    with opened_client(server, key_file) as client:
        job = client.jobs.get(job_id)
        after = 0
        if answer is not None:
            after = job.record.last_event_id
            respond(job, answer)
        JobCourse(client, out, server, key_file, as_json, quiet).follow(job, after)


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
