"""Deadline: the moment by which one request is over, whatever the other side does."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

__all__ = ["Deadline"]


class Deadline:
    """`with` it around the request. Limits on a single read never end a server that sends a byte a second; this does:
    at the deadline every watched connection is shut down under whoever waits for it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._shut_down)
        self._timer.daemon = True

    @property
    def left_s(self) -> float:
        """Seconds that are left; never below 0."""
        return max(0.0, self._until - time.monotonic())

    @property
    def is_over(self) -> bool:
        return self.left_s <= 0.0

    def watch(self, connection: socket.socket) -> None:
        """Shut `connection` down at the deadline, in whatever it has been wrapped by then."""
        with self._lock:
            # A handle of our own: TLS takes the other one over.
            self._watched.append(connection.dup())

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()
        with self._lock:
            while self._watched:
                self._watched.pop().close()

    def _shut_down(self) -> None:
        with self._lock:
            for connection in self._watched:
                with suppress(OSError):  # the other side was faster
                    connection.shutdown(socket.SHUT_RDWR)
