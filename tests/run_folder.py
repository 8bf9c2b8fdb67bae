"""Run folder: where a run of the tests keeps its temporary files: in memory, where there is room.

Our databases, libraries and runs wait for the disk after every write that must outlive a power cut. No test pulls that
plug, and of the suite's time a good part was spent in these waits; a memory file system has none.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["RunFolder"]

_MEMORY: Final = Path("/dev/shm")
# Several times what a whole run holds at once; containers and small machines, which have less, stay on the disk.
_ROOM_BYTES: Final = 4 * 2**30
# Short, since the path of a Unix socket must be: a name of pytest's choice in a name of pytest's choice comes to 100.
_PREFIX: Final = "il-"


class RunFolder:
    """The temporary folder of this process and of all that it starts, from `settle` to `leave`."""

    def __init__(self) -> None:
        self.path: Path | None = None
        """None on the disk: what the system gives."""
        self.keep = False
        """Whether it stays until the next run, for whoever wants to look at what failed."""

    def settle(self) -> None:
        """Go there. Who was told a place (TMPDIR), as the processes of a run are by their first one, stays there."""
        if "TMPDIR" in os.environ or not _fits(_MEMORY):
            return
        _sweep(_MEMORY)
        folder = _MEMORY / f"{_PREFIX}{os.getpid()}"
        try:
            # As root PostgreSQL runs as a user of its own, who must be able to get through.
            folder.mkdir(mode=0o755)
        except OSError:  # somebody else's, of this name
            return
        self.path = folder
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)

    def leave(self) -> None:
        """Remove it, unless it is to be kept."""
        if self.path is not None and not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)


def _fits(folder: Path) -> bool:
    """Whether there is room, and programs may be run from there (some tests install one)."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return (
        found.f_bavail * found.f_frsize >= _ROOM_BYTES
        and not found.f_flag & os.ST_NOEXEC
        and os.access(folder, os.W_OK | os.X_OK)
    )


def _sweep(folder: Path) -> None:
    """Remove what runs left that are over."""
    for left in folder.glob(f"{_PREFIX}[0-9]*"):
        number = left.name.removeprefix(_PREFIX)
        if number == str(os.getpid()) or not Path("/proc", number).exists():
            shutil.rmtree(left, ignore_errors=True)
