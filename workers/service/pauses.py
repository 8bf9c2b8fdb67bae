"""Pauses: how long to wait before something that ended is started again: longer each time that it ends at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["Pauses"]

QUICK_S: Final = 10.0
"""Whatever ends sooner after its start has ended at once."""
FIRST_S: Final = 0.5
LONGEST_S: Final = 30.0


class Pauses:
    """Of one part. `time_s`: a clock that only goes on."""

    def __init__(self, time_s: Callable[[], float] = time.monotonic) -> None:
        self._time_s = time_s
        self._began_s = self._again_s = time_s()
        self.quick_ends = 0
        """How many times in a row it ended at once."""

    def began(self) -> None:
        """It was started now."""
        self._began_s = self._time_s()

    def ended(self) -> float:
        """It ended now; the seconds until it may be started again."""
        now = self._time_s()
        self.quick_ends = self.quick_ends + 1 if now - self._began_s < QUICK_S else 0
        pause_s = min(LONGEST_S, FIRST_S * 2.0 ** (self.quick_ends - 1)) if self.quick_ends else 0.0
        self._again_s = now + pause_s
        return pause_s

    @property
    def over(self) -> bool:
        """Whether it may be started again."""
        return self._time_s() >= self._again_s
