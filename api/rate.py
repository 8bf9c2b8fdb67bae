"""Rate: how many requests somebody may send in a minute, by a bucket that refills evenly. Of this process alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import Final

__all__ = ["Allowance", "Rates"]

WINDOW_S: Final = 60.0
MAX_KEPT: Final = 10_000


@dataclass(frozen=True)
class Allowance:
    """What a request was told."""

    granted: bool
    per_minute: int
    left: int
    wait_s: int
    """Until the next request is granted; 0 when it would be now."""

    @property
    def headers(self) -> dict[str, str]:
        """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers)."""
        return {
            "RateLimit-Policy": f'"requests";q={self.per_minute};w={WINDOW_S:.0f}',
            "RateLimit": f'"requests";r={self.left};t={self.wait_s}',
        }


class Rates:
    """Buckets by name. A name that was not seen for long has a full bucket, so it need not be kept."""

    def __init__(self, *, time_s: Callable[[], float] = monotonic) -> None:
        self._time_s = time_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def ask(self, name: str, per_minute: int) -> Allowance:
        """Take one out of the bucket of that name, or refuse."""
        now = self._time_s()
        left, seen = self._buckets.pop(name, (float(per_minute), now))
        left = min(float(per_minute), left + (now - seen) * per_minute / WINDOW_S)
        granted = left >= 1
        if granted:
            left -= 1
        self._buckets[name] = (left, now)
        while len(self._buckets) > MAX_KEPT:
            self._buckets.popitem(last=False)
        wait_s = 0 if left >= 1 else ceil((1 - left) * WINDOW_S / per_minute)
        return Allowance(granted, per_minute, int(left), wait_s)
