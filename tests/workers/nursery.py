"""Nursery: worker processes for tests, each a fork of one that has imported what they all import.

A worker needs seconds of a core to import its libraries, and some tests start ten of them. Here that is done once in
a run. What comes out is a process of its own like any other: in a session of its own, with the environment and the log
that it was given, and to be killed, stopped or waited for. That workers start by their command line is proven by
tests/workers/service, tests/chaos and tests/sdk/test_cli_serve.py.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["Hatched", "begin"]

_PROGRAM: Final = Path(__file__).with_name("nursery_program.py")
_MESSAGE_BYTES: Final = 2**17
_POLL_S: Final = 0.02


class Hatched:
    """A process that `begin` started; as much of `subprocess.Popen` as tests use."""

    def __init__(self, nursery: _Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None
        self._asking = threading.Lock()

    def poll(self) -> int | None:
        """Its exit status, below zero for the signal that ended it; None while it runs."""
        with self._asking:  # the end of a process can be asked for once
            if self.returncode is None:
                self.returncode = self._nursery.ask(ended=self.pid)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended; subprocess.TimeoutExpired when it does not within `timeout` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(_POLL_S)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def begin(program: Path | str, *arguments: str, environment: Mapping[str, str], log: Path) -> Hatched:
    """Run a Python program as `python program arguments` would, or a module as `python -m module arguments`; its words
    go into `log`, behind what is there."""
    nursery = _nursery()
    pid = nursery.ask(begin=[str(program), *arguments], environment=dict(environment), log=str(log))
    return Hatched(nursery, pid)


class _Nursery:
    """The process that is forked. It ends, and what it started, when this one does."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen([sys.executable, _PROGRAM, str(number)], pass_fds=[number])
        atexit.register(self.close)

    def ask(self, **said: Any) -> Any:
        """What it answers; AssertionError when it is gone."""
        with self._lock:
            self._ours.send(json.dumps(said).encode())
            answer = self._ours.recv(_MESSAGE_BYTES)
        assert answer, "the nursery is gone"
        return json.loads(answer)

    def close(self) -> None:
        """End it, and what it started."""
        self._ours.close()
        self._process.wait()


@cache
def _nursery() -> _Nursery:
    return _Nursery()
