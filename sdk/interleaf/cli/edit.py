"""`interleaf edit`: a finished piece changed by the block: here or at a service, undone, compared, restored."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperGroup

from interleaf.cli.edit_desk import EditDesk, Step, opened_desk
from interleaf.cli.edit_display import tell_block, tell_blocks, tell_changes, tell_versions
from interleaf.cli.printing import json_line, say
from interleaf.cli.server_option import KeyFileOption, ServerOption

__all__ = ["app"]


class _TargetFirst(TyperGroup):
    """`interleaf edit TARGET --op …` is `interleaf edit apply TARGET --op …`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["apply", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_TargetFirst,
    no_args_is_help=True,
    help="Change a finished piece by the block: interleaf edit TARGET --block ID --op OP. TARGET is a run, the folder "
    "that interleaf compose wrote, or, with --server, a document's id.",
    epilog="""
Start here: interleaf edit show out/     lists the blocks and their ids; then:

  interleaf edit out/ --block b-3f9a --op rewrite

  interleaf edit out/ --block b-3f9a --op set_text --text "The sea rises twice a day."

  interleaf edit out/ --block b-77c1 --op swap_picture --picture photo.jpg

  interleaf edit doc_01k… --op insert --after b-3f9a --wish "what neap tides are" --server http://127.0.0.1:8000

Each edit is a version: undo, redo, restore, versions, diff. Everything outside the block stays byte for byte.

Exit codes: 0 done · 2 the edit does not fit, or somebody edited the piece meanwhile · 4 the writer gave up · 5 busy.
""",
)

_TARGET: Final = typer.Argument(..., metavar="TARGET", help="A run, a folder of compose, or a document's id.")
_HOME: Final = typer.Option(None, "--home", help="Data folder (default: INTERLEAF_HOME).")
_LIBRARY: Final = typer.Option(None, "--library", metavar="DIR", help="The picture library's folder.")
_OUT: Final = typer.Option(None, "--out", metavar="DIR", help="Write the new version's files here, too.")
_VERSION: Final = typer.Option(
    None, "--if-version", min=1, metavar="N", help="Only if that is still the newest version."
)
_JSON: Final = typer.Option(False, "--json", help="JSON on standard output, for machines.")


class Op(StrEnum):
    rewrite = "rewrite"
    expand = "expand"
    shorten = "shorten"
    insert = "insert"
    set_text = "set_text"
    delete = "delete"
    move = "move"
    swap_picture = "swap_picture"
    insert_picture = "insert_picture"
    no_picture = "no_picture"
    set_caption = "set_caption"
    set_alt = "set_alt"
    set_credit = "set_credit"


@app.command("apply")
def apply(
    target: str = _TARGET,
    op: Op = typer.Option(..., "--op", help="What is to be done."),
    block: str | None = typer.Option(None, "--block", metavar="ID", help="The block that it is about."),
    text: str | None = typer.Option(None, "--text", help="What a person typed: text, caption, alt or credit."),
    wish: str | None = typer.Option(None, "--wish", help="What the writer is to do, in your words."),
    before: str | None = typer.Option(None, "--before", metavar="ID", help="Put it before this block."),
    after: str | None = typer.Option(None, "--after", metavar="ID", help="Put it after this block."),
    kind: str | None = typer.Option(None, "--kind", help="Of a typed block: paragraph, heading, quote, list, code."),
    level: int | None = typer.Option(None, "--level", min=2, max=6, help="Of a heading."),
    picture: str | None = typer.Option(None, "--picture", metavar="ID|FILE", help="The picture to show."),
    decorative: bool = typer.Option(False, "--decorative", help="The picture says nothing and needs no alt text."),
    writer: str | None = typer.Option(None, "--writer", help="In place of the one that wrote the piece."),
    if_version: int | None = _VERSION,
    out: Path | None = _OUT,
    home: Path | None = _HOME,
    library: Path | None = _LIBRARY,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Carry out one edit (this command's name may be left out)."""
    given: dict[str, Any] = {
        "op": op.value,
        "block_id": block,
        "text": text,
        "wish": wish,
        "kind": kind,
        "level": level,
        "decorative": decorative or None,
        "place": {"before": before, "after": after} if before or after else None,
    }
    fields = {name: value for name, value in given.items() if value is not None}
    with opened_desk(target, home, library, server, api_key_file) as desk:
        was = desk.version
        if if_version is not None:
            desk.expect(if_version)
            was = if_version
        desk.edit(fields, picture, writer)
        _told(desk, was, target, out, as_json)


@app.command()
def show(
    target: str = _TARGET,
    block: str | None = typer.Option(
        None, "--block", metavar="ID", help="One block, whole; of a figure what else fits."
    ),
    home: Path | None = _HOME,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """List the blocks and their ids."""
    from interleaf.errors import BlockUnknown

    with opened_desk(target, home, None, server, api_key_file) as desk:
        blocks = desk.article.blocks
        if block is not None:
            blocks = tuple(one for one in blocks if one.id == block)
            if not blocks:
                raise BlockUnknown(block, "is no block of this version.", f"See: interleaf edit show {target}")
        if as_json:
            typer.echo(json_line({"version": desk.version, "blocks": [one.model_dump(mode="json") for one in blocks]}))
        elif block is not None:
            tell_block(desk.article, blocks[0])
        else:
            tell_blocks(desk.article, desk.version)


@app.command()
def undo(
    target: str = _TARGET,
    if_version: int | None = _VERSION,
    out: Path | None = _OUT,
    home: Path | None = _HOME,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Take the last step back."""
    _stepped("undo", target, if_version, out, home, server, api_key_file, as_json)


@app.command()
def redo(
    target: str = _TARGET,
    if_version: int | None = _VERSION,
    out: Path | None = _OUT,
    home: Path | None = _HOME,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Take an undo back."""
    _stepped("redo", target, if_version, out, home, server, api_key_file, as_json)


@app.command()
def restore(
    target: str = _TARGET,
    version: int = typer.Argument(..., min=1, help="The version that is to be the newest again."),
    if_version: int | None = _VERSION,
    out: Path | None = _OUT,
    home: Path | None = _HOME,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Make an earlier version the newest."""
    with opened_desk(target, home, None, server, api_key_file) as desk:
        was = if_version or desk.version
        desk.expect(was)
        desk.restore(version)
        _told(desk, was, target, out, as_json)


@app.command()
def versions(
    target: str = _TARGET,
    home: Path | None = _HOME,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """List the versions, the newest first."""
    with opened_desk(target, home, None, server, api_key_file) as desk:
        found = desk.versions()
    if as_json:
        typer.echo(json_line({"versions": [vars(one) for one in found]}))
    else:
        tell_versions(found)


@app.command()
def diff(
    target: str = _TARGET,
    from_version: int | None = typer.Option(None, "--from", min=1, help="Default: the one before --to."),
    to_version: int | None = typer.Option(None, "--to", min=1, help="Default: the newest."),
    home: Path | None = _HOME,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Show what changed between two versions, block by block and word by word."""
    from interleaf.errors import InvalidRequest

    with opened_desk(target, home, None, server, api_key_file) as desk:
        to = to_version or desk.version
        before = from_version or to - 1
        if before < 1:
            raise InvalidRequest("--from", "there is no version before the first.", "Name two versions.")
        changes = desk.diff(before, to)
    if as_json:
        typer.echo(json_line({"from": before, "to": to, "changes": [vars(one) for one in changes]}))
    else:
        tell_changes(changes)


def _stepped(
    step: Step,
    target: str,
    if_version: int | None,
    out: Path | None,
    home: Path | None,
    server: str | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    with opened_desk(target, home, None, server, key_file) as desk:
        was = if_version or desk.version
        desk.expect(was)
        desk.step(step)
        _told(desk, was, target, out, as_json)


def _told(desk: EditDesk, was: int, target: str, out: Path | None, as_json: bool) -> None:
    """What changed, and the files that were written: into `out`, and into the folder that was named."""
    folder = out or (Path(target) if Path(target).is_dir() else None)
    files = [] if folder is None else list(desk.write(folder))
    if as_json:
        typer.echo(json_line({"version": desk.version, "files": [str(one) for one in files]}))
        return
    tell_changes(desk.diff(was, desk.version))
    say(f"version {desk.version}", "bold")
    for one in files:
        say(f"  {one}")
