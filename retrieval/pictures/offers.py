"""Offers: the pictures that lie in the folders, archives and files a person names, with what is said beside them.

Nothing is decoded and nothing is unpacked here; an archive's members are read in memory. Links are not
followed, hidden files are passed over, and a name is a label, never a path to write to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from interleaf.errors import PictureUnreadable
from interleaf.text import clean_line
from retrieval.pictures.archive import Archive
from retrieval.pictures.beside import Beside, Note, read_file
from retrieval.pictures.decode import MAX_FILE_BYTES
from retrieval.pictures.metadata import PictureMetadata
from retrieval.pictures.sidecar import (
    MANIFEST_NAMES,
)
from retrieval.pictures.sniff import HEAD_BYTES, PICTURE_SUFFIXES, is_archive, is_picture

__all__ = ["Note", "Offer", "Offers", "Refusal", "offered", "offered_described", "suffix_of"]

MAX_LABEL_CHARS: Final = 1_000


class Refusal(NamedTuple):
    """A file that was not taken: its name and why, in a sentence with the remedy."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A picture that may be added. `label` names it for a person, `place` and `stamp` recognise it later."""

    label: str
    name: str
    place: bytes
    size_bytes: int
    stamp: int
    beside: PictureMetadata
    read: Callable[[], bytes]


@dataclass
class Offers:
    """What was found: offers in a fixed order, refusals, notes, and how many other files were passed over."""

    offers: list[Offer] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    ignored_files: int = 0


def offered(paths: Sequence[Path], names: Mapping[Path, str] | None = None) -> Offers:
    """The pictures in folders, archives and single files. What cannot be read is refused by name.

    `names`: what a person calls some of the files, where they lie under names of ours."""
    found = Offers()
    called = names or {}
    beside: dict[Path, Beside] = {}
    for path in paths:
        label = clean_line(called[path])[-MAX_LABEL_CHARS:] if path in called else _label(path)
        try:
            if path.is_dir():
                _walk_folder(path, found)
                continue
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                found.refused.append(Refusal(label, "it is neither a file nor a folder. Leave it out."))
                continue
            if is_archive(_head(path)):
                _open_archive(path, label, found)
                continue
        except OSError as error:
            found.refused.append(_refusal(path, error))
            continue
        folder = path.absolute().parent
        if folder not in beside:
            beside[folder] = Beside.of_folder(folder, _label(path.parent), found.notes)
        if _speaks_for_others(path, beside[folder].names):
            found.ignored_files += 1
            continue
        said = beside[folder].about(path.name, found.notes)
        _offer_file(path, label, said, found, name=label if path in called else path.name)
    return found


def offered_described(items: Iterable[tuple[Path, PictureMetadata]]) -> Offers:
    """Single picture files with the words that the caller brings; nothing beside them is read."""
    found = Offers()
    for path, metadata in items:
        _offer_file(path, _label(path), metadata, found)
    return found


def _walk_folder(root: Path, found: Offers) -> None:
    inside = root.resolve()
    waiting: list[tuple[Path, Beside | None]] = [(root, None)]
    while waiting:
        folder, above = waiting.pop()
        try:
            beside = Beside.of_folder(folder, _label(folder), found.notes, above)
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            found.refused.append(_refusal(folder, error))
            continue
        below: list[tuple[Path, Beside | None]] = []
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_symlink():
                _pass_link(path, inside, found)
            elif entry.is_dir():
                below.append((path, beside))
            elif entry.is_file():
                _look_at_file(path, beside, found)
            else:
                found.ignored_files += 1
        waiting += reversed(below)


def _pass_link(path: Path, inside: Path, found: Offers) -> None:
    """A link into the folder is met at its target; one that leads out is not followed."""
    try:
        leads_out = not path.resolve().is_relative_to(inside)
    except (OSError, RuntimeError):  # a loop
        leads_out = True
    if leads_out and suffix_of(path.name) in PICTURE_SUFFIXES:
        found.refused.append(Refusal(_label(path), "it is a link out of the folder. Add the file itself."))
    else:
        found.ignored_files += 1


def _look_at_file(path: Path, beside: Beside, found: Offers) -> None:
    if _speaks_for_others(path, beside.names):
        found.ignored_files += 1
        return
    try:
        head = _head(path)
    except OSError as error:
        if suffix_of(path.name) in PICTURE_SUFFIXES:
            found.refused.append(_refusal(path, error))
        else:
            found.ignored_files += 1
        return
    if is_archive(head) and suffix_of(path.name) == ".zip":
        _open_archive(path, _label(path), found)
    elif suffix_of(path.name) in PICTURE_SUFFIXES or is_picture(head):
        _offer_file(path, _label(path), beside.about(path.name, found.notes), found)
    else:
        found.ignored_files += 1


def _offer_file(path: Path, label: str, said: PictureMetadata, found: Offers, *, name: str = "") -> None:
    try:
        status = path.stat()
    except OSError as error:
        found.refused.append(_refusal(path, error))
        return
    place = os.fsencode(path.absolute())
    read = partial(read_file, path, label, MAX_FILE_BYTES)
    found.offers.append(
        Offer(label, clean_line(name or path.name), place, status.st_size, status.st_mtime_ns, said.cleaned(), read)
    )


def _open_archive(path: Path, label: str, found: Offers) -> None:
    try:
        archive = Archive(path, label)
    except PictureUnreadable as error:
        found.refused.append(Refusal(label, f"{error.problem} {error.remedy}"))
        return
    found.refused += [Refusal(f"{label}/{refused.name}", refused.reason) for refused in archive.refused]
    found.ignored_files += archive.ignored_files
    known: dict[str, Beside] = {}

    def beside_of(folder: str) -> Beside:
        if folder not in known:
            above = beside_of(folder.rpartition("/")[0]) if folder else None
            names = frozenset(archive.names_in(folder))
            shown = f"{label}/{folder}".rstrip("/")
            known[folder] = Beside.of_names(shown, names, partial(archive.read_beside, folder), found.notes, above)
        return known[folder]

    for member in archive.members():
        beside = beside_of(member.folder)
        if _speaks_for_others(Path(member.name), beside.names):
            found.ignored_files += 1
            continue
        suffix = suffix_of(member.name)
        if suffix == ".zip":
            found.refused.append(
                Refusal(f"{label}/{member.path}", "it is an archive inside an archive. Unpack it and add it apart.")
            )
        elif suffix in PICTURE_SUFFIXES or is_picture(archive.head(member)):
            said = beside.about(member.name, found.notes).cleaned()
            found.offers.append(
                Offer(
                    f"{label}/{member.path}"[:MAX_LABEL_CHARS],
                    clean_line(member.name),
                    os.fsencode(path.absolute()) + b"\0" + member.path.encode("utf-8", "surrogateescape"),
                    member.size_bytes,
                    member.checksum,
                    said,
                    partial(archive.read, member),
                )
            )
        else:
            found.ignored_files += 1


def _speaks_for_others(path: Path, names: Iterable[str]) -> bool:
    """Whether the file is a sidecar: a manifest, or one picture's own."""
    if path.name in MANIFEST_NAMES:
        return True
    if suffix_of(path.name) not in (".json", ".yaml", ".yml"):
        return False
    stem = path.name.rpartition(".")[0]
    return suffix_of(stem) in PICTURE_SUFFIXES or any(
        f"{stem}{suffix}" in names or f"{stem}{suffix.upper()}" in names for suffix in PICTURE_SUFFIXES
    )


def suffix_of(name: str) -> str:
    """The suffix in lower case with its dot; empty when there is none."""
    return Path(name).suffix.lower()


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _label(path: Path) -> str:
    """The path as a person wrote it, safe to show; `.` by its own name."""
    shown = path.as_posix() if path.name else path.absolute().as_posix()
    return clean_line(shown)[-MAX_LABEL_CHARS:]


def _refusal(path: Path, error: OSError) -> Refusal:
    if isinstance(error, FileNotFoundError):
        return Refusal(_label(path), "there is no such file or folder. Look at the spelling.")
    return Refusal(_label(path), f"it cannot be read ({error.strerror or error}). Look at its permissions.")
