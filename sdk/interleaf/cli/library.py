"""`interleaf library`: the picture library from the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from interleaf.cli import remote_library
from interleaf.cli.ingest_report import report_record, tell_report
from interleaf.cli.picture_table import picture_record, picture_table
from interleaf.cli.printing import console, json_line, say, say_some
from interleaf.cli.progress_bar import stage_bar
from interleaf.cli.server_option import KeyFileOption, ServerOption, opened_client

if TYPE_CHECKING:
    from interleaf.schema import PictureFilter
    from interleaf.service.client import Client
    from workers.run.shelf import PictureLibrary

__all__ = ["app"]


app = typer.Typer(
    no_args_is_help=True,
    help="Your pictures: add, list, show, search, remove, verify.",
    epilog="Start here: interleaf library add photos/     then: interleaf library search 'a stone bridge'\n\n"
    "With --server the pictures lie in a service, each collection as a library of your key; show and verify look at "
    "this machine.",
)

_LIBRARY = typer.Option(None, "--library", metavar="DIR", help="The library's folder (default: in the data folder).")
_JSON = typer.Option(False, "--json", help="One JSON object on standard output, for machines.")
_QUIET = typer.Option(False, "--quiet", "-q", help="No progress bar.")
_COLLECTIONS = typer.Option([], "--collection", "-c", help="Only pictures of this collection. Repeatable.")
_LICENCE = typer.Option("any", "--licence", help="any, known, open, commercial, or patterns such as CC-BY-*,CC0-*.")
_MIN_WIDTH = typer.Option(1, "--min-width", min=1, metavar="PX", help="Only pictures at least this wide.")
_MIN_HEIGHT = typer.Option(1, "--min-height", min=1, metavar="PX", help="Only pictures at least this high.")


class DedupeOption(StrEnum):
    near = "near"
    exact = "exact"


@app.command(
    epilog="""
Examples:

  interleaf library add photos/

  interleaf library add photos.zip harbour.jpg --collection coast --licence CC-BY-4.0 --author "Jo Lind"

Words come from, best first: these options; photo.jpg.json or manifest.csv/.json/.yaml beside the pictures; the \
picture's own IPTC, XMP and EXIF; the file name. Positions (GPS) are never kept. Killed in the middle, the same \
command continues.

Exit codes: 0 done, with the refused files listed · 2 not one picture could be taken · 3 the disk is full or \
read-only · 1 another process is adding.
"""
)
def add(
    paths: list[Path] = typer.Argument(..., help="Folders, zip archives, picture files."),
    collection: str = typer.Option("default", "--collection", "-c", help="The collection that they join."),
    dedupe: DedupeOption = typer.Option(
        DedupeOption.near, help="near: resized and recompressed copies count as duplicates; exact: only equal pixels."
    ),
    author: str | None = typer.Option(None, help="Said of all of them."),
    licence: str | None = typer.Option(None, help="Said of all of them, such as CC-BY-4.0."),
    source_url: str | None = typer.Option(None, "--source", help="Web address where they come from."),
    encode: bool = typer.Option(True, help="Encode their words now, so that the first search is quick."),
    library: Path | None = _LIBRARY,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
    quiet: bool = _QUIET,
) -> None:
    """Add the pictures of folders, zip archives and files."""
    stated = {"author": author, "licence": licence, "source_url": source_url}
    given = {key: value for key, value in stated.items() if value}
    if server:
        with _client(server, api_key_file, library) as client:
            remote_library.add(client, paths, collection, dedupe=dedupe.value, as_json=as_json, quiet=quiet, **given)
        return
    with _opened(library, create=True) as shelf:
        with stage_bar("adding pictures", quiet) as show:
            report = shelf.add(
                paths,
                collection,
                dedupe=dedupe.value,
                given=given or None,
                on_progress=lambda p: show(p.done, p.total),
            )
        if encode and (report.added or report.described):
            with stage_bar("encoding words", quiet) as show:
                shelf.refresh(on_progress=show)
        if as_json:
            typer.echo(json_line(report_record(report)))
        else:
            tell_report(report, shelf.count(_filter((report.collection,), "any", 1, 1)))
    taken = report.added or report.already_there or report.duplicates
    if not taken:
        raise typer.Exit(2)


@app.command(
    "list", epilog="Example: interleaf library list --collection coast --licence open --min-width 1200 --limit 50"
)
def list_(
    collection: list[str] = _COLLECTIONS,
    licence: str = _LICENCE,
    min_width: int = _MIN_WIDTH,
    min_height: int = _MIN_HEIGHT,
    limit: int = typer.Option(50, min=1, max=100_000, help="At most this many."),
    after: str | None = typer.Option(None, metavar="ID", help="Go on after this picture."),
    library: Path | None = _LIBRARY,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """List pictures in the order they came (of a service's, the newest first), and the collections."""
    if server:
        with _client(server, api_key_file, library) as client:
            patterns = _licences(licence)
            remote_library.list_pictures(
                client, collection, patterns, min_width, min_height, limit, after, as_json=as_json
            )
        return
    with _opened(library) as shelf:
        where = _filter(tuple(collection), licence, min_width, min_height)
        pictures = shelf.list(where, limit, _whole_id(shelf, after) if after else None)
        if as_json:
            found = {"pictures": [picture_record(shelf, p) for p in pictures], "total": shelf.count(where)}
            typer.echo(json_line({**found, "collections": shelf.collections()}))
            return
        picture_table([(p, None) for p in pictures], "no pictures")
        names = ", ".join(f"{name} ({count:,})" for name, count in shelf.collections().items())
        say(f"{len(pictures):,} of {shelf.count(where):,} pictures · collections: {names or 'none'}")


@app.command(epilog="Example: interleaf library show 3f9a2c")
def show(
    picture: str = typer.Argument(..., metavar="ID", help="A picture's id, or its beginning."),
    library: Path | None = _LIBRARY,
    as_json: bool = _JSON,
) -> None:
    """Show all that is known of one picture."""
    from rich.table import Table
    from rich.text import Text

    with _opened(library) as shelf:
        found = shelf.picture(_whole_id(shelf, picture))
        record = picture_record(shelf, found) | {"file": str(shelf.pixels_path(found.id))}
    if as_json:
        typer.echo(json_line(record))
        return
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in record.items():
        if value not in (None, "", []):
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            table.add_row(Text(key.replace("_", " "), style="dim"), Text(shown))
    console().print(table)


@app.command(
    epilog="""
Examples:

  interleaf library search "a stone bridge over a river"

  interleaf library search "tide table" -k 5 --licence open --min-width 800

  interleaf library search --like 3f9a2c        needs a picture encoder: set INTERLEAF_PIXEL_ENCODER
"""
)
def search(
    words: list[str] = typer.Argument(None, help="What the picture should show."),
    like: str | None = typer.Option(None, metavar="ID|FILE", help="Pictures that look like this one."),
    k: int = typer.Option(10, "-k", min=1, max=1_000, help="How many."),
    collection: list[str] = _COLLECTIONS,
    licence: str = _LICENCE,
    min_width: int = _MIN_WIDTH,
    min_height: int = _MIN_HEIGHT,
    library: Path | None = _LIBRARY,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Find pictures by words, or by another picture. Filters hold before ranking."""
    from interleaf.errors import InvalidBrief
    from interleaf.schema import PictureQuery

    text = " ".join(words or ()).strip()
    if bool(text) == bool(like):
        raise InvalidBrief(
            "search", "needs either words or --like.", "Give one of them: interleaf library search --help"
        )
    where = _filter(tuple(collection), licence, min_width, min_height)
    if server:
        with _client(server, api_key_file, library) as client:
            remote_library.search(
                client, text, like, k, collection, where.licence_policy, min_width, min_height, as_json=as_json
            )
        return
    with _opened(library) as shelf:
        if like:
            query = PictureQuery(picture_id=_like(shelf, like))
            where = where.model_copy(update={"exclude_ids": (query.picture_id,)})
        else:
            query = PictureQuery(text=text)
        hits = shelf.search([query], k, where)[0]
        if as_json:
            found = [{**picture_record(shelf, h.picture), "score": h.score} for h in hits]
            typer.echo(json_line({"hits": found}))
            return
    picture_table([(hit.picture, hit.score) for hit in hits], "nothing found")


@app.command(epilog="Example: interleaf library remove 3f9a2c 81bb04 --yes")
def remove(
    pictures: list[str] = typer.Argument(..., metavar="ID...", help="Ids, or their beginnings."),
    collection: str | None = typer.Option(None, "--collection", "-c", help="Only from this collection."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    library: Path | None = _LIBRARY,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Remove pictures from a collection, or from the library."""
    if server:
        with _client(server, api_key_file, library) as client:
            remote_library.remove(client, pictures, collection, yes=yes, as_json=as_json)
        return
    with _opened(library) as shelf:
        ids = list(dict.fromkeys(_whole_id(shelf, written) for written in pictures))
        if not yes:
            picture_table([(shelf.picture(picture_id), None) for picture_id in ids], "")
            typer.confirm(f"Remove {len(ids)} from {collection or 'the library'}?", abort=True, err=True)
        gone = shelf.remove(ids, collection)
    if as_json:
        typer.echo(json_line({"removed": list(gone), "left_collection": collection}))
    else:
        kept = f" · {len(ids) - len(gone)} stay in other collections" if len(gone) < len(ids) else ""
        say(f"{len(gone)} removed from the library{kept}")


@app.command(epilog="Exit codes: 0 nothing is wrong, or it was put right · 1 something is wrong.")
def verify(
    repair: bool = typer.Option(
        False,
        "--repair",
        help="Remove pictures whose file is lost or damaged, files that no picture has, and damaged indexes "
        "(the next search builds them again).",
    ),
    library: Path | None = _LIBRARY,
    as_json: bool = _JSON,
    quiet: bool = _QUIET,
) -> None:
    """Read every stored file and index and hold it against the catalog."""
    with _opened(library) as shelf, stage_bar("verifying", quiet) as show_bar:
        report = shelf.verify(repair, on_progress=lambda p: show_bar(p.done, p.total))
    if as_json:
        problems = [problem._asdict() for problem in report.problems]
        typer.echo(json_line({"pictures": report.pictures, "problems": problems, "repaired": report.repaired}))
    else:
        say_some([f"{problem.name}: {problem.what}" for problem in report.problems], "yellow")
        verdict = "nothing is wrong" if not report.problems else f"{len(report.problems)} problems"
        say(f"{report.pictures:,} pictures, {verdict}{', put right' if report.repaired else ''}")
    if not report.ok:
        raise typer.Exit(1)


# Inside


@contextmanager
def _opened(folder: Path | None, create: bool = False) -> Iterator[PictureLibrary]:
    from interleaf import approot

    approot.enter()
    from workers.run.shelf import open_library
    from workers.settings import settings

    with open_library(settings(), folder.absolute() if folder else None, create=create) as library:
        yield library


@contextmanager
def _client(server: str, key_file: Path | None, library: Path | None) -> Iterator[Client]:
    from interleaf.errors import InvalidBrief

    if library is not None:
        raise InvalidBrief("--library", "names a folder here, and --server works there.", "Leave one of them out.")
    with opened_client(server, key_file) as client:
        yield client


def _licences(licence: str) -> list[str]:
    return [part.strip() for part in licence.split(",") if part.strip()] or ["any"]


def _filter(collections: tuple[str, ...], licence: str, min_width: int, min_height: int) -> PictureFilter:
    from interleaf.schema import LicencePolicy, PictureFilter

    names = _licences(licence)
    return PictureFilter(
        collections=collections or None,
        licence_policy=LicencePolicy.model_validate(names[0] if len(names) == 1 else names),
        min_width_px=min_width,
        min_height_px=min_height,
    )


def _whole_id(shelf: PictureLibrary, written: str) -> str:
    """The one id that begins with `written`. PictureMissing when there is none, or more than one."""
    from interleaf.errors import PictureMissing

    found = shelf.ids_beginning(written.strip().lower())
    if not found:
        raise PictureMissing(written, "no picture's id begins like this.", "See them: interleaf library list")
    if len(found) > 1:
        several = ", ".join(i[: len(written) + 6] for i in found[:5])
        raise PictureMissing(written, f"several ids begin like this ({several}, …).", "Write more of it.")
    return found[0]


def _like(shelf: PictureLibrary, like: str) -> str:
    from interleaf.errors import Unsupported

    if not shelf.searches_pixels:
        raise Unsupported(
            "--like",
            "this library has no pixel vectors, it matches words only.",
            "Name a CLIP-type model in INTERLEAF_PIXEL_ENCODER and search again.",
        )
    if re.fullmatch(r"[0-9a-f]{4,64}", like.lower()) and not Path(like).exists():
        return _whole_id(shelf, like)
    return shelf.id_of_file(Path(like))
