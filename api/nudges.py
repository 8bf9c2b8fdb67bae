"""Nudges: tell the queue of new work at once, without making anybody wait for it; the reconciler sends what is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf
from typing import Final

import anyio

from api.threads import Threads

__all__ = ["Nudges"]

MAX_WAITING: Final = 1_000
# A queue that is away is not asked again for each job: the reconciler asks, too.
PAUSE_S: Final = 2.0

_log = logging.getLogger(__name__)


class Nudges:
    """Job ids on their way to the queue. Bounded: what finds no place is left to the reconciler."""

    def __init__(self, deliver: Callable[[str], object] | None) -> None:
        """`deliver(job_id)` sends the job's message if it needs one; None: leave everything to the reconciler."""
        self._deliver = deliver
        self._to, self._from = anyio.create_memory_object_stream[str](MAX_WAITING)
        # Of its own: a queue that does not answer must not take the threads of the database.
        self._threads = Threads(1)

    def tell(self, job_id: str) -> None:
        """There may be a message to send for that job. Never waits, never fails."""
        if self._deliver is None:
            return
        try:
            self._to.send_nowait(job_id)
        except (anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            _log.debug("job %s is left to the reconciler", job_id)

    async def run(self) -> None:
        """Send until canceled."""
        quiet_until = -inf
        async for job_id in self._from:
            if self._deliver is None or anyio.current_time() < quiet_until:
                continue
            try:
                await self._threads.run(self._deliver, job_id)
            except Exception as error:  # noqa: BLE001 - whatever fails here is done again by the reconciler
                quiet_until = anyio.current_time() + PAUSE_S
                _log.warning("no message could be sent (%s); the reconciler sends it later", error)
