"""Engine queue: many clients take turns at one engine, first come first served, from a single thread.

A place is taken before a request's body is read, so that the places bound the memory of all that waits. Pieces come
over to the event loop as they are made; a caller that goes away stops its answer at the next token.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from interleaf.errors import ModelBusy
from model.inference.engine import Engine, Piece, Request

__all__ = ["EngineQueue"]


class EngineQueue:
    """At most `places` requests at a time: one that is answered, the others waiting. It does not own the engine."""

    def __init__(self, engine: Engine, places: int) -> None:
        self._engine, self._places = engine, places
        self._taken = 0
        self._closing = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place, for as long as the block runs. ModelBusy when all are taken. On the event loop's thread only."""
        if self._taken >= self._places:
            raise ModelBusy(self._engine.name, f"has {self._taken} requests to answer already.", "Try again soon.")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def answer(self, request: Request) -> AsyncGenerator[int | Piece, None]:
        """First the number of the prompt's tokens, then the pieces. Errors are the engine's; ModelBusy when the queue
        is closed meanwhile. Leaving early, by `aclose` or a cancelled task, stops the engine before its next token."""
        self._check_open()
        loop = asyncio.get_running_loop()
        made: asyncio.Queue[int | Piece | None] = asyncio.Queue()
        left = threading.Event()

        def canceled() -> bool:
            return left.is_set() or self._closing.is_set()

        def tell(what: int | Piece | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(made.put_nowait, what)

        def run() -> None:
            if canceled():
                return
            tell(self._engine.count(request))
            for piece in self._engine.generate([request], canceled):
                tell(piece)

        def done(job: Future[None]) -> None:
            tell(None)

        job = self._thread.submit(run)
        job.add_done_callback(done)
        try:
            while (what := await made.get()) is not None:
                yield what
            self._check_open()
            job.result()  # raises what the engine raised
        finally:
            left.set()
            job.cancel()

    def close(self) -> None:
        """Stop the answer that is being made, drop those that wait, and let the thread end."""
        self._closing.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise ModelBusy(self._engine.name, "is being closed.", "Try again when it is back.")
