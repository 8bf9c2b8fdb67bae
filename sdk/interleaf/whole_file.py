"""Whole file: appears complete or not at all: written aside, flushed to the disk, renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from interleaf.errors import OutputUnwritable

__all__ = ["sync_folder", "unwritable", "write_whole", "write_whole_pieces"]

_REMEDIES = {
    errno.ENOSPC: "Free some space, or name another output folder.",
    errno.EDQUOT: "Free some of your quota, or name another output folder.",
    errno.EACCES: "Give yourself the right to write there, or name another output folder.",
    errno.EPERM: "Give yourself the right to write there, or name another output folder.",
    errno.EROFS: "The disk is read-only; name another output folder.",
    errno.ENOTDIR: "A file stands where a folder is needed; name another output folder.",
    errno.EEXIST: "A file stands where a folder is needed; name another output folder.",
    errno.EISDIR: "A folder stands where the file should go; move it away.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


def write_whole(path: Path, content: bytes) -> Path:
    """Write `content` to `path`, making its folder. What stood there before stays until the new file is complete.

    OutputUnwritable when the folder cannot be written or the disk is full; nothing half-written is left.
    """
    return write_whole_pieces(path, (content,))


def write_whole_pieces(path: Path, pieces: Iterable[bytes]) -> Path:
    """As `write_whole`, for what is too large to be in memory at once. Errors of interleaf that `pieces` raises come
    through as they are."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".interleaf-", suffix=".part", dir=path.parent)
        aside = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp gives 0600; a page is meant to be read and served.
            aside.chmod(0o644)
            aside.replace(path)
        except BaseException:  # an interrupt too must not leave the part behind
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def unwritable(path: Path, error: OSError) -> OutputUnwritable:
    """The error that says why `path` cannot be written, and what to do."""
    problem = f"cannot be written ({error.strerror or error})."
    return OutputUnwritable(str(path), problem, _REMEDIES.get(error.errno or 0, "Name another output folder."))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut, where the system can (Windows cannot open a folder)."""
    flags = getattr(os, "O_DIRECTORY", None)
    if flags is None:
        return
    handle = os.open(folder, os.O_RDONLY | flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
