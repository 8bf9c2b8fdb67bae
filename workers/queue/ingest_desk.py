"""Ingest desk: which of the waiting ingests this process works on now: few at a time, one for each owner."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["IngestDesk"]


class _Waiting(NamedTuple):
    what: str
    owner: str
    work: Callable[[], object]


class IngestDesk:
    """A library has one writer, and whoever searches must not wait behind those who add: so at most `most` threads
    work here, and no two for one owner. What has to wait is done by a thread that is here already, when it is free.

    What waits here is lost with the process: its jobs are still queued in the database, and are sent again.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._busy: set[str] = set()
        self._closed = False

    def take(self, what: str, owner: str, work: Callable[[], object]) -> None:
        """Do the work, and then whatever waits; or leave it to a thread that is at work. `what` names it: what waits
        already is not taken twice."""
        with self._lock:
            if all(one.what != what for one in self._waiting):
                self._waiting.append(_Waiting(what, owner, work))
        while (found := self._next()) is not None:
            try:
                found.work()
            finally:
                with self._lock:
                    self._busy.discard(found.owner)

    def close(self) -> None:
        """This process ends: nothing more is begun. What waits stays queued."""
        with self._lock:
            self._closed = True
            self._waiting.clear()

    @property
    def closed(self) -> bool:
        """Whether nothing more is begun."""
        return self._closed

    def _next(self) -> _Waiting | None:
        with self._lock:
            if self._closed or len(self._busy) >= self._most:
                return None
            for number, one in enumerate(self._waiting):
                if one.owner not in self._busy:
                    self._busy.add(one.owner)
                    return self._waiting.pop(number)
            return None
