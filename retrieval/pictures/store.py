"""Store: the pixel files of a library, under names that we make, written aside and renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from interleaf.errors import OutputUnwritable

__all__ = ["PixelStore"]

SUFFIXES: Final = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif"}
_ASIDE: Final = ".aside"


class PixelStore:
    """`folder/ab/abcdef….jpg`; `folder/.aside` holds what is being written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._unsynced: set[Path] = set()

    def path(self, picture_id: str, media_type: str) -> Path:
        """Where the picture's file is, or would be."""
        return self.folder / picture_id[:2] / f"{picture_id}{SUFFIXES[media_type]}"

    def write(self, picture_id: str, media_type: str, data: bytes) -> Path:
        """Keep a file; it is there wholly or not at all. OutputUnwritable when the disk is full or read-only.

        The name is on disk for certain after `sync`."""
        path = self.path(picture_id, media_type)
        aside = self.folder / _ASIDE / path.name
        try:
            for folder in (aside.parent, path.parent):
                if not folder.is_dir():
                    folder.mkdir(parents=True, exist_ok=True)
                    self._unsynced.add(folder.parent)
            try:
                with aside.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(path)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise unwritable(self.folder, error) from error
        self._unsynced.add(path.parent)
        return path

    def sync(self) -> None:
        """Make the names of everything written so far survive a power cut."""
        for folder in sorted(self._unsynced):
            try:
                handle = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
            except OSError as error:
                raise unwritable(folder, error) from error
        self._unsynced.clear()

    def remove(self, picture_id: str, media_type: str) -> None:
        """Delete a file; nothing when it is not there."""
        try:
            self.path(picture_id, media_type).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def clear_aside(self) -> None:
        """Delete what a killed process was writing. Only for the holder of the library's lock."""
        for path in sorted((self.folder / _ASIDE).glob("*")):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise unwritable(self.folder, error) from error

    def files(self) -> Iterator[Path]:
        """Every file below the folder, sorted, what is being written left out."""
        if not self.folder.is_dir():
            return
        for folder in sorted(self.folder.iterdir()):
            if folder.name != _ASIDE:
                yield from sorted(folder.rglob("*")) if folder.is_dir() else [folder]


def unwritable(folder: Path, error: OSError) -> OutputUnwritable:
    """The operating system's refusal as ours."""
    return OutputUnwritable(
        str(folder),
        f"the library cannot be written ({error.strerror or error}); what was stored before is unharmed.",
        "Free space there, or make the folder writable, and run the same command again.",
    )
