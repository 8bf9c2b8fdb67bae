"""Remote library: `interleaf library … --server`: the same commands, done by a service for the owner of a key."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from interleaf.cli.ingest_report import tell_record
from interleaf.cli.picture_table import picture_table
from interleaf.cli.printing import json_line, say
from interleaf.cli.progress_bar import progress_bar
from interleaf.errors import InvalidRequest, NameTaken, ObjectUnknown, PictureMissing, QuotaReached

if TYPE_CHECKING:
    from interleaf.schema import LicencePolicy
    from interleaf.service.client import Client
    from interleaf.service.service_job import Job
    from interleaf.service.service_records import HitRecord, LibraryRecord, PictureRecord

__all__ = ["add", "list_pictures", "remove", "search"]

PAGE: Final = 100
MAX_HITS: Final = 100
_STAGES: Final = {"ingest": "adding pictures", "encode": "encoding words"}


def add(client: Client, paths: Sequence[Path], collection: str, *, as_json: bool, quiet: bool, **said: Any) -> None:
    """Send the paths, have them taken in, and tell the report. Exit code 2 when not one picture could be taken."""
    library = _library_or_new(client, collection)
    uploads = client.libraries.send(*paths)
    try:
        job = _followed(client.libraries.ingest(library, *uploads, **said), quiet)
    except KeyboardInterrupt:
        say("interrupted; the service goes on adding what was sent", "yellow", error=True)
        raise
    for upload in uploads:
        client.uploads.delete(upload)  # what was taken in is in the library
    report = job.result.report if job.result is not None else None
    if report is None:
        job.raise_for_state()
        return
    told = {name: value for name, value in report.items() if name != "library_id"}
    record = {"collection": library.name, **told, "ignored_files": report["counts"]["ignored_files"]}
    if as_json:
        typer.echo(json_line(record))
    else:
        tell_record(record, client.libraries.get(library).picture_count)
    if job.state == "incomplete":
        raise QuotaReached("stored bytes", "are used up; the rest was not added.", "Remove something, then add again.")
    if job.state == "failed":
        raise typer.Exit(2)


def list_pictures(
    client: Client,
    collections: Sequence[str],
    policy: Sequence[str],
    min_width: int,
    min_height: int,
    limit: int,
    after: str | None,
    *,
    as_json: bool,
) -> None:
    """Pictures of these collections (all without one), of each the newest first."""
    libraries = _libraries(client, collections)
    filtered = list(policy) != ["any"] or min_width > 1 or min_height > 1
    # How many pass a filter nobody knows without asking for all of them.
    total = None if filtered else sum(library.picture_count for library in libraries)
    found: list[tuple[PictureRecord, str]] = []
    begun, start = after is None, ""
    if after is not None:
        start, holders = _whole_id(client, libraries, after)
        libraries = libraries[libraries.index(holders[0]) :]
    for library in libraries:
        position = None if begun else start
        begun = True
        while len(found) < limit:
            page = client.libraries.pictures(
                library,
                limit=min(PAGE, limit - len(found)),
                after=position,
                licence=policy,
                min_width_px=min_width,
                min_height_px=min_height,
            )
            found += [(picture, library.name) for picture in page.data]
            if not page.has_more:
                break
            position = page.last_id
    counts = {library.name: library.picture_count for library in _libraries(client, ())}
    if as_json:
        pictures = [_record(picture, name) for picture, name in found]
        typer.echo(json_line({"pictures": pictures, "total": total, "collections": counts}))
        return
    picture_table([(picture, None) for picture, _ in found], "no pictures")
    names = ", ".join(f"{name} ({count:,})" for name, count in counts.items())
    of = "" if total is None else f" of {total:,}"
    say(f"{len(found):,}{of} pictures · collections: {names or 'none'}")


def search(
    client: Client,
    text: str,
    like: str | None,
    k: int,
    collections: Sequence[str],
    policy: LicencePolicy,
    min_width: int,
    min_height: int,
    *,
    as_json: bool,
) -> None:
    """The best of these collections (of all without one)."""
    if k > MAX_HITS:
        raise InvalidRequest("-k", f"{k} is more than a service finds at once.", f"Give at most {MAX_HITS}.")
    libraries = _libraries(client, collections)
    filters: dict[str, Any] = {"licence_policy": policy, "min_width_px": min_width, "min_height_px": min_height}
    hits: list[tuple[HitRecord, str]] = []
    if like is None:
        for library in libraries:
            found = client.libraries.search(library, text, k=k, **filters)
            hits += [(hit, library.name) for hit in found]
    else:
        upload, known = _like(client, libraries, like)
        try:
            for library in libraries:
                found = client.libraries.search(library, picture=upload, k=min(k + 1, MAX_HITS), **filters)
                hits += [(hit, library.name) for hit in found if hit.picture.id != known]
        finally:
            client.uploads.delete(upload)
    # A key's libraries are scored by one count of how common words are, so their scores may be compared.
    hits.sort(key=lambda one: -one[0].score)
    del hits[k:]
    if as_json:
        told = [{**_record(hit.picture, name), "score": hit.score} for hit, name in hits]
        typer.echo(json_line({"hits": told}))
        return
    picture_table([(hit.picture, hit.score) for hit, _ in hits], "nothing found")


def remove(client: Client, written: Sequence[str], collection: str | None, *, yes: bool, as_json: bool) -> None:
    """Take pictures out of a collection, or of all."""
    libraries = _libraries(client, () if collection is None else (collection,))
    found = dict(_whole_id(client, libraries, one) for one in written)
    if not yes:
        shown = [(client.libraries.picture(holders[0], picture), None) for picture, holders in found.items()]
        picture_table(shown, "")
        typer.confirm(f"Remove {len(found)} from {collection or 'the library'}?", abort=True, err=True)
    for picture, holders in found.items():
        for library in holders:
            client.libraries.remove(library, picture)
    everywhere = libraries if collection is None else _libraries(client, ())
    gone = [picture for picture in found if not _holders(client, everywhere, picture)]
    if as_json:
        typer.echo(json_line({"removed": gone, "left_collection": collection}))
    else:
        kept = f" · {len(found) - len(gone)} stay in other collections" if len(gone) < len(found) else ""
        say(f"{len(gone)} removed from the library{kept}")


def _libraries(client: Client, names: Sequence[str]) -> list[LibraryRecord]:
    """Those of these names, or all, by name. ObjectUnknown."""
    if names:
        return [client.libraries.find(name) for name in dict.fromkeys(names)]
    found: list[LibraryRecord] = []
    page = client.libraries.list(limit=PAGE)
    while True:
        found += page.data
        if not page.has_more:
            return sorted(found, key=lambda library: library.name)
        page = client.libraries.list(limit=PAGE, after=page.last_id)


def _library_or_new(client: Client, name: str) -> LibraryRecord:
    try:
        return client.libraries.find(name)
    except ObjectUnknown:
        try:
            return client.libraries.create(name)
        except NameTaken:  # somebody was quicker
            return client.libraries.find(name)


def _followed(job: Job, quiet: bool) -> Job:
    with progress_bar(quiet, counted=True) as show:
        _show_course(job, show)
    return job.wait()


def _show_course(job: Job, show: Callable[[str, int, int | None], None]) -> None:
    for event in job.events():
        stage = _STAGES.get(str(event.data.get("stage")))
        done, total = event.data.get("done"), event.data.get("total")
        if event.name == "stage.progress" and stage and isinstance(done, int) and isinstance(total, int):
            show(stage, done, total)


def _holders(client: Client, libraries: Sequence[LibraryRecord], picture_id: str) -> list[LibraryRecord]:
    return [one for one in libraries if client.libraries.pictures(one, id_prefix=picture_id, limit=1).data]


def _whole_id(client: Client, libraries: Sequence[LibraryRecord], written: str) -> tuple[str, list[LibraryRecord]]:
    """The one id that begins with `written`, and the libraries that have it. PictureMissing when there is none, or more
    than one."""
    prefix = written.strip().lower()
    found: dict[str, list[LibraryRecord]] = {}
    if re.fullmatch("[0-9a-f]{1,64}", prefix):
        for library in libraries:
            for picture in client.libraries.pictures(library, id_prefix=prefix, limit=10).data:
                found.setdefault(picture.id, []).append(library)
    if not found:
        raise PictureMissing(written, "no picture's id begins like this.", "See them: interleaf library list")
    if len(found) > 1:
        several = ", ".join(sorted(one[: len(prefix) + 6] for one in found)[:5])
        raise PictureMissing(written, f"several ids begin like this ({several}, …).", "Write more of it.")
    return next(iter(found.items()))


def _like(client: Client, libraries: Sequence[LibraryRecord], like: str) -> tuple[str, str | None]:
    """Id of an upload of the picture that is meant, and its id if it is one of the libraries'."""
    if re.fullmatch(r"[0-9a-f]{4,64}", like.lower()) and not Path(like).exists():
        picture, holders = _whole_id(client, libraries, like)
        return client.uploads.create(client.libraries.read(holders[0], picture), "picture").id, picture
    return client.uploads.create(Path(like)).id, None


def _record(picture: PictureRecord, collection: str) -> dict[str, Any]:
    """A picture as JSON has it, as the same commands without a service tell it."""
    return {**picture.model_dump(mode="json", exclude={"library_id", "url"}), "collections": [collection]}
