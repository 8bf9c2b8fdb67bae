"""Note archive: a ZIP of notes, of pictures that they show and of what is written beside these becomes a folder of a
run, safely and whole."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from interleaf.errors import InterleafError, OutputUnwritable, SourceUnreadable
from retrieval.pictures.archive import Archive
from retrieval.pictures.sniff import picture_kind
from workers.run.source_file import MARKDOWN_SUFFIXES

__all__ = ["unpack_notes"]

NOTES: Final = MARKDOWN_SUFFIXES | {".txt", ".text"}
SIDECARS: Final = frozenset((".csv", ".json", ".yaml", ".yml"))
MAX_FILES: Final = 20_000
MAX_NAME_BYTES: Final = 255


def unpack_notes(archive_path: Path, label: str, folder: Path, *, max_bytes: int) -> Path:
    """`folder` with the notes, pictures and sidecars of the archive under the names that they have in it; kept as it is
    where it was unpacked before. Other files are left out.

    SourceUnreadable when it is damaged, holds no note, or more than `max_bytes`; OutputUnwritable.
    """
    if folder.is_dir():
        return folder
    aside = folder.with_name(folder.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        try:
            count = _unpacked(Archive(archive_path, label), label, aside, max_bytes)
        except OSError as error:
            raise OutputUnwritable(
                label, f"cannot be unpacked ({error.strerror}).", "Look after the disk, then retry the job."
            ) from error
        except SourceUnreadable:
            raise
        except InterleafError as error:  # the archive's own words are of pictures
            raise SourceUnreadable(label, str(error.args[1]), "Make the archive again.") from error
        if not count:
            raise SourceUnreadable(label, "holds no note in Markdown or plain text.", "Send notes, or text itself.")
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder


def _unpacked(archive: Archive, label: str, target: Path, max_bytes: int) -> int:
    """How many notes were written."""
    notes = files = total = 0
    for member in archive.members():
        suffix = Path(member.name).suffix.lower()
        is_note = suffix in NOTES
        if not is_note and suffix not in SIDECARS and picture_kind(archive.head(member)) is None:
            continue
        files += 1
        if files > MAX_FILES:
            raise SourceUnreadable(label, f"holds more than {MAX_FILES} files.", "Split it.")
        if any(len(part.encode()) > MAX_NAME_BYTES for part in member.path.split("/")):
            raise SourceUnreadable(label, "holds a file with a name that is too long.", "Give it a shorter name.")
        content = archive.read(member, max_bytes - total)
        total += len(content)
        path = target / member.path
        # The names were cleaned; that nothing leads out of the folder is looked at once more before it is written.
        if not path.resolve().is_relative_to(target.resolve()):
            raise SourceUnreadable(label, "holds a name that leads out of it.", "Make the archive again.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        notes += is_note
    return notes
