"""Small disk: a file system of its own that can be filled to the last page and emptied again."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interleaf.errors import Unsupported

__all__ = ["SmallDisk", "as_root", "small_disk"]

PAGE_BYTES = 4096


class SmallDisk:
    """Everything under `folder` shares its few bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, left_bytes: int = 0) -> None:
        """Leave only so many bytes, rounded up to pages."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * PAGE_BYTES)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            if left_bytes:
                pages = -(-left_bytes // PAGE_BYTES)
                file.truncate(max(0, file.tell() - pages * PAGE_BYTES))

    def empty(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(size_bytes: int) -> Iterator[SmallDisk]:
    """A file system in memory; Unsupported when this process may not mount one."""
    folder = Path(tempfile.mkdtemp(prefix="interleaf-small-disk-"))
    options = f"size={size_bytes},mode=700"
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
        if done.returncode != 0:
            raise Unsupported("tmpfs", f"cannot be mounted ({done.stderr.decode().strip()}).", "Run this as root.")
        try:
            yield SmallDisk(folder)
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()


def as_root(module: str, arguments: list[str]) -> None:
    """Who is not root becomes it in name spaces of its own, where mounting is allowed. Does not return then."""
    if os.geteuid() != 0:
        inside = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-m", module, *arguments]
        os.execvp(inside[0], inside)
