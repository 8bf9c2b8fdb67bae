"""Threads: where the calls of the database and of the file store run, so that the event loop never waits for one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

__all__ = ["Threads"]

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    """A bounded number of threads; further calls wait for their turn without holding anything."""

    def __init__(self, count: int) -> None:
        self._limiter = CapacityLimiter(count)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`function(*args, **kwargs)` in a thread. A caller that goes away does not stop it half-way."""
        return await to_thread.run_sync(lambda: function(*args, **kwargs), limiter=self._limiter)

    async def each(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces of a blocking iterator, which is closed at the end, however that comes."""
        try:
            while piece := await self.run(next, pieces, b""):
                yield piece
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
