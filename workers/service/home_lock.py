"""Home lock: one service over a data folder at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from interleaf.errors import OutputUnwritable, RunBusy

__all__ = ["held_home"]


@contextmanager
def held_home(home: Path) -> Iterator[None]:
    """Make the folder where it is missing, and hold it. RunBusy when another service does; OutputUnwritable. The lock
    goes with the process, however that ends."""
    lock = FileLock(home / "service.lock", timeout=0)
    try:
        # What people wrote lies here: one that we make is its user's own.
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RunBusy(
            str(home), "another `interleaf serve` runs on this data folder.", "Stop it, or choose another with --data."
        ) from error
    except OSError as error:
        raise OutputUnwritable(
            str(home), f"cannot be written ({error.strerror or error}).", "Choose another data folder with --data."
        ) from error
    try:
        yield
    finally:
        lock.release()
