"""Whole folder: appears complete or not at all: filled aside, flushed to the disk, renamed."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from interleaf.errors import OutputUnwritable
from interleaf.whole_file import sync_folder

__all__ = ["clear_leftovers", "need_room", "whole_folder"]

_PART: Final = ".part"
_OLD: Final = ".old"
# Headers, small files and what the file system itself takes.
SLACK_BYTES: Final = 64 * 2**20

_REMEDIES: Final = {
    errno.ENOSPC: "Free some space, or name another folder.",
    errno.EDQUOT: "Free some of your quota, or name another folder.",
    errno.EFBIG: "This disk takes no file so large; name a folder on another.",
    errno.EACCES: "Give yourself the right to write there, or name another folder.",
    errno.EPERM: "Give yourself the right to write there, or name another folder.",
    errno.EROFS: "The disk is read-only; name another folder.",
    errno.ENOTDIR: "A file stands where a folder is needed; name another folder.",
}


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Gives an empty folder beside `target` to fill; when the block ends well it takes target's place and name.

    What stood at `target` stays until then. OutputUnwritable when the disk is full or may not be written; whatever
    goes wrong, an interrupt too, nothing half-written is left.
    """
    aside = target.parent / f".{target.name}{_PART}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(target)
        aside.mkdir()
        try:
            yield aside
            for folder in [*(path for path in aside.rglob("*") if path.is_dir()), aside]:
                sync_folder(folder)
            _take_place(aside, target)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})."
        remedy = _REMEDIES.get(error.errno or 0, "Name another folder.")
        raise OutputUnwritable(str(target), problem, remedy) from error


def clear_leftovers(target: Path) -> None:
    """Remove what a process killed inside `whole_folder(target)` left, and put back what it had moved away.

    Only for whoever holds the lock of `target`. OSError when that cannot be done.
    """
    old = target.parent / f".{target.name}{_OLD}"
    if old.exists():
        if target.exists():
            shutil.rmtree(old)
        else:
            old.rename(target)
    aside = target.parent / f".{target.name}{_PART}"
    if aside.exists():
        shutil.rmtree(aside)


def need_room(folder: Path, nbytes: int) -> None:
    """OutputUnwritable, before a byte is written, when the disk of `folder` has no room for `nbytes` more."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < nbytes + SLACK_BYTES:
        raise OutputUnwritable(
            str(folder),
            f"needs {_gigabytes(nbytes + SLACK_BYTES)} and the disk has {_gigabytes(free)} free.",
            "Free some space, or name a folder on another disk.",
        )


def _take_place(aside: Path, target: Path) -> None:
    if target.exists():
        old = target.parent / f".{target.name}{_OLD}"
        target.rename(old)
        aside.rename(target)
        sync_folder(target.parent)
        shutil.rmtree(old)
    else:
        aside.rename(target)
        sync_folder(target.parent)


def _gigabytes(nbytes: int) -> str:
    return f"{nbytes / 10**9:.2f} GB"
