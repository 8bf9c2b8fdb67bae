"""Process memory: what a run leaves behind goes back to the machine soon after, not some day.

Python looks for garbage that holds itself in everything there is, so it does that the more seldom the more there is.
One look takes 170 ms in a process that has its libraries and an encoder open, and meanwhile each piece leaves some tens
of KiB. What lives on is therefore set aside (gc.freeze), and then a look takes a millisecond. And what is free within
the process's memory is handed back to the machine, which glibc does by itself at the end of the heap only.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["MEMORY", "ProcessMemory"]

SHARE: Final = 0.01
"""Looking takes at most so much of the time: after one that took long, the next one waits for long."""
SET_ASIDE: Final = 50_000
"""If a look leaves so many objects, they are taken for what lives on."""


class ProcessMemory:
    """The memory of this process. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looking = threading.Lock()
        self._next = 0.0

    def tidy(self) -> bool:
        """After a run: collect what it left and hand it back; False when it is too soon, or somebody else is at it."""
        if not self._looking.acquire(blocking=False):
            return False
        try:
            begun = self._clock()
            if begun < self._next:
                return False
            gc.collect()
            if len(gc.get_objects()) > SET_ASIDE:
                gc.freeze()
            _trim()
            ended = self._clock()
            self._next = ended + (ended - begun) / SHARE
            return True
        finally:
            self._looking.release()

    def tidy_all(self) -> None:
        """After something large was let go of: as well what had been set aside, and at once."""
        with self._looking:
            gc.unfreeze()
            gc.collect()
            _trim()
            self._next = 0.0


def _no_trim(pad: int) -> int:
    return 0


def _found_trim() -> Callable[[int], int]:
    """malloc_trim of glibc; other libraries (and systems) have none and need none."""
    if sys.platform != "linux":
        return _no_trim
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim or _no_trim


_malloc_trim: Final = _found_trim()


def _trim() -> None:
    _malloc_trim(0)


MEMORY: Final = ProcessMemory()
"""Of this process; there is only one."""
