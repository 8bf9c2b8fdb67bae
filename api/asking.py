"""Asking: a question to the library worker for which a caller waits; the answer comes back through the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio
from anyio import CapacityLimiter, to_thread

from api.threads import Threads
from interleaf.errors import ServiceAway
from workers.store.library_requests import LibraryRequests, RequestKind

__all__ = ["Asking", "LibraryUnanswered"]

# A queue that hangs holds one of these threads for a while, and nobody else's.
SENDERS: Final = 4
SEND_S: Final = 5.0
FIRST_LOOK_S: Final = 0.004
MOST_LOOK_S: Final = 0.1
# An answer may be given so long after its caller went away.
KEPT_S: Final = 30.0


class LibraryUnanswered(ServiceAway):
    """No library worker answered in time: none runs, all are busy, or the queue cannot be reached."""

    code = "library_unanswered"


class Asking:
    """Writes questions down, sends their messages, and waits for the answers."""

    def __init__(
        self,
        requests: LibraryRequests,
        threads: Threads,
        deliver: Callable[[str], object] | None,
        wait_s: float,
    ) -> None:
        """`deliver(request_id)` sends the message; None: there is no queue. `wait_s`: how long a caller waits."""
        self._requests = requests
        self._threads = threads
        self._deliver = deliver
        self._wait_s = wait_s
        self._senders = CapacityLimiter(SENDERS)

    async def ask(self, owner: str, library_id: str, kind: RequestKind, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer; the error that the worker answered with is raised. LibraryUnanswered when none came in time: a
        question that no worker has taken by then is never answered."""
        if self._deliver is None:
            raise _unanswered("the service has no queue here")
        request = await self._threads.run(
            self._requests.ask, owner, library_id, kind, asked, kept_s=self._wait_s + KEPT_S
        )
        until = anyio.current_time() + self._wait_s
        try:
            await self._send(self._deliver, request.id)
            pause_s = FIRST_LOOK_S
            while True:
                await anyio.sleep(pause_s)
                found = await self._threads.run(self._requests.answer, request.id)
                if found is not None:
                    return found
                if anyio.current_time() >= until:
                    raise _unanswered(f"no worker answered within {self._wait_s:g} seconds")
                pause_s = min(pause_s * 1.3, MOST_LOOK_S)
        except ServiceAway:
            with anyio.CancelScope(shield=True):
                await self._withdraw(request.id)
            raise

    async def _send(self, deliver: Callable[[str], object], request_id: str) -> None:
        sent = False
        with anyio.move_on_after(SEND_S):
            try:
                await to_thread.run_sync(deliver, request_id, limiter=self._senders, abandon_on_cancel=True)
                sent = True
            except ServiceAway as error:
                raise _unanswered("the queue cannot be reached") from error
        if not sent:
            raise _unanswered("the queue does not answer")

    async def _withdraw(self, request_id: str) -> None:
        try:
            await self._threads.run(self._requests.withdraw, request_id)
        except ServiceAway:
            return  # it expires by itself


def _unanswered(why: str) -> LibraryUnanswered:
    return LibraryUnanswered("library", f"cannot be asked now: {why}.", "Try again in a moment; jobs are taken in.")
