"""Tied process: one that does not outlive the process that started it, however that one ends.

Also a program: `python tied_process.py PARENT PROGRAM ARGUMENT…` becomes PROGRAM, tied to the process PARENT. As such
it runs without any of our packages, so it imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

__all__ = ["tie", "tied_command"]

_PR_SET_PDEATHSIG: Final = 1
_LOOK_S: Final = 0.5


def tie(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """From now on this process gets the signal `by` when its parent, the process `parent`, is gone.

    On Linux the kernel sends it, also to a process that hangs, and program files that this process becomes keep it;
    it goes by the thread that started us, which must live as long as its process. Elsewhere a thread of ours looks
    twice a second, and does not see the end of a parent while everything here hangs.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent, by), name="parent-watch", daemon=True).start()
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), by)


def tied_command(command: Sequence[str]) -> list[str]:
    """The command with which this process starts another one tied to itself, by SIGTERM. Tied on Linux only: elsewhere
    nothing is left of us after the other program has taken our place."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def _watch(parent: int, by: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), by)


if __name__ == "__main__":
    tie(int(sys.argv[1]), signal.SIGTERM)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 (what our own process asks for)
