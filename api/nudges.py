"""Nudges: tell the queue of new work at once, without making anybody wait for it; the reconciler sends what is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic
from typing import Final, TypeVar

import anyio

from api.threads import Threads
from workers.store.job import Job

__all__ = ["LAST_S", "Nudges"]

P = TypeVar("P")

MAX_WAITING: Final = 1_000
# Several requests at a time ask whether there is room before they take it.
ROOM_KEPT: Final = 100
MAX_AT_ONCE: Final = 50
# A queue that is away is not asked again for each job: the reconciler asks, too.
PAUSE_S: Final = 2.0
LAST_S: Final = 5.0

_log = logging.getLogger(__name__)


class Nudges:
    """New work on its way to the queue. Bounded: what finds no place is left to the reconciler."""

    def __init__(
        self,
        deliver: Callable[[str], object] | None,
        send_new: Callable[[Sequence[Job]], object] | None = None,
    ) -> None:
        """`deliver(id)` sends the message of what has that id, if it needs one; None: leave everything to the
        reconciler. `send_new(jobs)` sends those of jobs that count as sent from their beginning, and puts back what it
        cannot send; None: every job is delivered."""
        self._deliver = deliver
        self._send_new = send_new
        self._to, self._from = anyio.create_memory_object_stream[str | Job](MAX_WAITING)
        # Of its own: a queue that does not answer must not take the threads of the database.
        self._threads = Threads(1)
        self._quiet_until = -inf

    def takes_new(self) -> bool:
        """Whether a job that is made now may count as sent: it finds a place here, and the queue was there when it was
        spoken to last. Safe to ask from any thread."""
        return (
            self._send_new is not None
            and monotonic() >= self._quiet_until
            and self._from.statistics().current_buffer_used < MAX_WAITING - ROOM_KEPT
        )

    def tell(self, what: str | Job) -> None:
        """There may be a message to send for what has that id, or for that new job. Never waits, never fails."""
        if isinstance(what, Job) and what.dispatched_at is None:
            what = what.id
        if isinstance(what, str) and self._deliver is None:
            return
        try:
            self._to.send_nowait(what)
        except (anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            _log.debug("%s is left to the reconciler", what if isinstance(what, str) else what.id)

    async def run(self) -> None:
        """Send until `close`."""
        async for first in self._from:
            jobs, names = self._sorted_with(first)
            if jobs and self._send_new is not None:
                # They count as sent: whoever cannot send them must say so, or nobody does it for a while.
                await anyio.sleep(max(0.0, self._quiet_until - monotonic()))
                await self._try(self._send_new, jobs)
            for name in names:
                if self._deliver is not None and monotonic() >= self._quiet_until:
                    await self._try(self._deliver, name)

    def close(self) -> None:
        """Take nothing more; `run` ends when what waits is sent."""
        self._to.close()

    def _sorted_with(self, first: str | Job) -> tuple[list[Job], list[str]]:
        """What waits, as new jobs and as ids of what may need a message."""
        found: list[str | Job] = [first]
        while len(found) < MAX_AT_ONCE:
            try:
                found.append(self._from.receive_nowait())
            except (anyio.WouldBlock, anyio.EndOfStream):
                break
        return [one for one in found if isinstance(one, Job)], [one for one in found if isinstance(one, str)]

    async def _try(self, send: Callable[[P], object], what: P) -> None:
        try:
            await self._threads.run(send, what)
        except Exception as error:  # noqa: BLE001 - whatever fails here is done again by the reconciler
            self._quiet_until = monotonic() + PAUSE_S
            _log.warning("no message could be sent (%s); the reconciler sends it later", error)
