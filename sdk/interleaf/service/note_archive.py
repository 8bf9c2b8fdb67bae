"""Note archive: notes that show pictures from beside them, with these pictures and what is written beside those, as one
ZIP that the service takes."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from interleaf.errors import SourceUnreadable
from interleaf.service.picture_archive import MOMENT, PICTURE_FILES, SIDECAR_FILES

__all__ = ["pack_notes", "shown_beside"]

MARKDOWN: Final = frozenset((".md", ".markdown", ".mdown", ".mkd"))
MAX_NOTE_BYTES: Final = 64 * 2**20
# Whatever may be a picture's place: what is none is no file. Reading Markdown is the service's business.
_TARGETS: Final = re.compile(
    r"""\]\([ \t]{0,9}<?([^)<>\s"']{1,1000})|\bsrc=["']([^"']{1,1000})|\]:[ \t]{0,9}<?([^<>\s]{1,1000})"""
)


def shown_beside(note: Path) -> Iterator[Path]:
    """Picture files beside or below a note that it seems to show."""
    root = note.parent.resolve()
    if note.suffix.lower() not in MARKDOWN or note.stat().st_size > MAX_NOTE_BYTES:
        return
    text = note.read_text(encoding="utf-8", errors="replace")
    for found in _TARGETS.finditer(text):
        written = unquote(next(part for part in found.groups() if part is not None).split("#")[0].split("?")[0])
        if "://" in written or "\x00" in written or Path(written).suffix.lower() not in PICTURE_FILES:
            continue
        path = (root / written).resolve()
        if path.is_relative_to(root) and path.is_file():
            yield path


def pack_notes(root: Path, notes: Sequence[Path]) -> Path | None:
    """A temporary archive of notes below `root` with the pictures that they show, which the caller deletes; None when
    they show none. SourceUnreadable when a file cannot be read, or there is no room for the archive."""
    root = root.resolve()
    packed: Path | None = None
    try:
        pictures = {path for note in notes for path in shown_beside(note) if path.is_relative_to(root)}
        if not pictures:
            return None
        handle, name = tempfile.mkstemp(prefix="interleaf-", suffix=".zip")
        packed = Path(name)
        with os.fdopen(handle, "wb") as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in dict.fromkeys((*notes, *sorted(pictures), *_sidecars(pictures))):
                member = zipfile.ZipInfo(path.resolve().relative_to(root).as_posix(), MOMENT)
                # Pictures are packed already.
                member.compress_type = zipfile.ZIP_STORED if path in pictures else zipfile.ZIP_DEFLATED
                archive.writestr(member, path.read_bytes())
    except OSError as error:
        if packed is not None:
            packed.unlink(missing_ok=True)
        raise SourceUnreadable(
            root.name, f"cannot be packed ({error.strerror or error}).", "Check that it is readable, and the disk."
        ) from error
    except BaseException:
        if packed is not None:
            packed.unlink(missing_ok=True)
        raise
    return packed


def _sidecars(pictures: Iterable[Path]) -> list[Path]:
    """What is written beside pictures: author and licence stand there."""
    return [
        path
        for folder in sorted({picture.parent for picture in pictures})
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SIDECAR_FILES and path.is_file() and not path.is_symlink()
    ]
