"""Streams: answers that last: how many each key has open, and that all of them end when the service stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Streams"]


class Streams:
    """Counts of open streams by key. `closing` is set when the service stops; streams look at it."""

    def __init__(self, most: int) -> None:
        self.closing = False
        self._most = most
        self._open: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """All of them."""
        return self._open.total()

    def has_room(self, key_id: str) -> bool:
        """Whether that key may open another."""
        return not self.closing and self._open[key_id] < self._most

    @contextmanager
    def opened(self, key_id: str) -> Iterator[None]:
        """Counted while the block runs."""
        self._open[key_id] += 1
        try:
            yield
        finally:
            self._open[key_id] -= 1
            if not self._open[key_id]:
                del self._open[key_id]
