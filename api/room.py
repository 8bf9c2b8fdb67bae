"""Room: whether one more job may be taken in: of this key, and of all. Counted anew every second, not at each job."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

from interleaf.errors import QueueFull, QuotaReached
from workers.store.api_keys import ApiKey
from workers.store.job_transitions import JobState
from workers.store.jobs import Jobs

__all__ = ["Room"]

ACTIVE: Final[tuple[JobState, ...]] = ("queued", "running", "awaiting_input", "canceling")
FRESH_S: Final = 1.0
MAX_KEPT: Final = 10_000


class Room:
    """Limits that keep the service usable, not accounts: several processes that count at once may pass them by what
    each takes in within a second."""

    def __init__(
        self, jobs: Jobs, *, max_active: int, max_queued: int, time_s: Callable[[], float] = monotonic
    ) -> None:
        self._jobs = jobs
        self._max_active = max_active
        self._max_queued = max_queued
        self._time_s = time_s
        self._lock = threading.Lock()
        self._counted: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def take(self, key: ApiKey) -> None:
        """Make room for one job of that key. QuotaReached; QueueFull."""
        most = key.quotas.max_active_jobs if key.quotas.max_active_jobs is not None else self._max_active
        if self._count("", self._max_queued, ("queued",), None) >= self._max_queued:
            raise QueueFull("queue", f"{self._max_queued} jobs wait already.", "Send the job again in a while.")
        active = self._count(key.id, most, ACTIVE, key.id)
        if active >= most:
            raise QuotaReached("jobs", f"{active} of this key have not ended; it may have {most}.", "Wait for some.")
        with self._lock:
            for name in ("", key.id):
                if name in self._counted:
                    count, at = self._counted[name]
                    self._counted[name] = (count + 1, at)

    def _count(self, name: str, most: int, states: tuple[JobState, ...], owner: str | None) -> int:
        now = self._time_s()
        with self._lock:
            count, at = self._counted.get(name, (0, float("-inf")))
        # A limit that seems to be reached is looked at again: jobs may have ended meanwhile.
        if now - at < FRESH_S and count < most:
            return count
        count = self._jobs.count(states, owner)
        with self._lock:
            self._counted[name] = (count, now)
            self._counted.move_to_end(name)
            while len(self._counted) > MAX_KEPT:
                self._counted.popitem(last=False)
        return count
