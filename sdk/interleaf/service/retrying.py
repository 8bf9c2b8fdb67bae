"""Retrying: how often and how long a request that failed for the moment is sent again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Retrying"]


@dataclass(frozen=True)
class Retrying:
    """Pauses double from `first_s` to `most_s`, each shortened by chance to between a half and the whole, so that many
    clients do not come back at once. A Retry-After of the service is waited for in full."""

    attempts: int = 6
    """Of one request, the first included."""
    within_s: float = 60.0
    """A pause that would end later than this after the first attempt is not begun."""
    away_s: float = 300.0
    """How long a stream of events or a download goes on trying without getting anything."""
    first_s: float = 0.5
    most_s: float = 15.0
    chance: Callable[[], float] = field(default_factory=lambda: random.Random().random, repr=False, compare=False)
    """A number from 0 to 1, for the jitter."""

    def pause_s(self, failures: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after so many failures in a row (1 or more)."""
        longest = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30))
        own = longest * (0.5 + self.chance() / 2)
        if retry_after_s is None:
            return own
        # Not one of many that were told the same second comes back in the same moment.
        return max(retry_after_s, 0.0) + min(own, self.first_s)
