"""Brief sending: the files that a brief names on this machine go to the service, and the brief names them there; or
they are measured alone."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from interleaf.errors import InvalidBrief, SourceUnreadable
from interleaf.schema import Brief, GivenPicture, Source
from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.note_archive import pack_notes
from interleaf.service.picture_archive import PICTURE_FILES, files_below, pack_folder
from interleaf.service.steps import Do, SentFile, Steps

__all__ = ["Unsent", "send_files", "unsent"]

REFERENCE: Final = "upload:"
NOTES: Final = frozenset((".md", ".markdown", ".mdown", ".mkd", ".txt", ".text"))


@dataclass(frozen=True)
class Unsent:
    """A brief without the files that it names on this machine, and how much they are."""

    brief: Brief
    source_bytes: int
    pictures: int


def unsent(brief: Brief, base: Path) -> Unsent:
    """Measure the files that `send_files` would send. SourceUnreadable, InvalidBrief for what is not there."""
    sources, given = list(brief.sources), list(brief.pictures)
    local = [source for source in sources if source.path is not None and not source.path.startswith(REFERENCE)]
    nbytes = sum(path.stat().st_size for source in local for path in _notes(base, source))
    count = 0
    for number, one in enumerate(given):
        if one.path.startswith(REFERENCE):
            continue
        path = _existing(base, number, one.path)
        files, archives = files_below(path) if path.is_dir() else ([path], [])
        for file in (*files, *archives):
            count += _archived(file) if file.suffix.lower() == ".zip" else file.suffix.lower() in PICTURE_FILES
    rest = {
        "sources": tuple(source for source in sources if source not in local),
        "pictures": tuple(one for one in given if one.path.startswith(REFERENCE)),
    }
    return Unsent(brief.model_copy(update=rest), nbytes, count)


def send_files(calls: Calls, brief: Brief, base: Path) -> Steps[Brief]:
    """The brief with `upload:ID` in place of each path, which starts from `base`. Notes that show pictures from beside
    them become one archive with these, other folders of notes their notes, and a folder of pictures one archive.

    SourceUnreadable, PictureUnreadable, InvalidBrief for what is not there; what the service refuses of a file.
    """
    sent: dict[Path, str] = {}

    def send(path: Path) -> Steps[str]:
        if path not in sent:
            upload = yield from ask(calls.create_upload(SentFile(path.name, path)), calls.retrying)
            sent[path] = upload.reference
        return sent[path]

    def send_packed(packed: Path, name: str) -> Steps[str]:
        try:
            upload = yield from ask(calls.create_upload(SentFile(name, packed)), calls.retrying)
        finally:
            packed.unlink(missing_ok=True)
        return upload.reference

    sources: list[Source] = []
    for source in brief.sources:
        if source.path is None or source.path.startswith(REFERENCE):
            sources.append(source)
            continue
        notes = yield Do(partial(_notes, base, source))
        packed = yield Do(partial(pack_notes, _root(base, source), notes))
        if packed is not None:
            reference = yield from send_packed(packed, f"{_root(base, source).name or 'notes'}.zip")
            sources.append(source.model_copy(update={"path": reference}))
            continue
        for path in notes:
            reference = yield from send(path)
            sources.append(source.model_copy(update={"path": reference, "name": source.name or path.name}))
    pictures: list[GivenPicture] = []
    for number, given in enumerate(brief.pictures):
        if given.path.startswith(REFERENCE):
            pictures.append(given)
            continue
        path = _existing(base, number, given.path)
        if path.is_file():
            references = [(yield from send(path))]
        else:
            packed, archives = yield Do(partial(pack_folder, path))
            references = []
            if packed is not None:
                references.append((yield from send_packed(packed, f"{path.name or 'pictures'}.zip")))
            for archive in archives:
                references.append((yield from send(archive)))
        pictures += [given.model_copy(update={"path": reference}) for reference in references]
    return brief.model_copy(update={"sources": tuple(sources), "pictures": tuple(pictures)})


def _resolved(base: Path, path: str) -> Path:
    return (base / Path(path).expanduser()).absolute()


def _existing(base: Path, number: int, path: str) -> Path:
    """A file or folder of pictures. InvalidBrief."""
    found = _resolved(base, path)
    if not found.is_file() and not found.is_dir():
        raise InvalidBrief(
            f"pictures[{number}].path", f"{path} does not exist.", "It starts from the brief's own folder."
        )
    return found


def _archived(archive: Path) -> int:
    """How many pictures an archive names; one for a file that is none: whoever takes it will say so."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return sum(Path(name).suffix.lower() in PICTURE_FILES for name in opened.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return 1


def _notes(base: Path, source: Source) -> list[Path]:
    """The notes at a path: itself, or those below a folder, in name order."""
    assert source.path is not None
    path = _resolved(base, source.path)
    if path.is_dir():
        return sorted(_below(path.resolve()), key=lambda p: [part.casefold() for part in p.parts])
    if not path.is_file():
        raise SourceUnreadable(source.path, "does not exist.", "Check the path; it starts from the brief's own folder.")
    return [path]


def _root(base: Path, source: Source) -> Path:
    """The folder from which the pictures of the notes at a path may be taken."""
    assert source.path is not None
    path = _resolved(base, source.path)
    return path if path.is_dir() else path.parent


def _below(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        inner = path.relative_to(root).parts
        if path.suffix.lower() not in NOTES or any(part.startswith((".", "__")) for part in inner):
            continue
        if path.is_file() and path.resolve().is_relative_to(root):
            yield path
