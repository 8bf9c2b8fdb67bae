"""Queue look: whether the queue answers, looked at once in a while, however often somebody asks."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Final

import anyio

from api.threads import Threads

__all__ = ["QueueLook"]

FRESH_S: Final = 1.0


class QueueLook:
    """Anybody may ask for the readiness of the service; what they ask costs the queue one look in a second."""

    def __init__(self, answers: Callable[[], bool] | None, *, time_s: Callable[[], float] = monotonic) -> None:
        """`answers()` asks the queue for a sign of life; None: there is none to ask."""
        self._ask, self._time_s = answers, time_s
        self._answers, self._looked_at_s = True, -inf
        self._turn = anyio.Lock()
        # Of its own: a queue that does not answer must not take the threads of the database.
        self._threads = Threads(1)

    async def answers(self) -> bool:
        """Whether it did when it was asked last, which is not long ago."""
        if self._ask is None:
            return True
        async with self._turn:
            if self._time_s() - self._looked_at_s >= FRESH_S:
                self._answers = await self._threads.run(self._ask)
                self._looked_at_s = self._time_s()
            return self._answers
