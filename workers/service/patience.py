"""Patience: a part that needs something another part brings waits for it, and says what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from interleaf.errors import InterleafError

__all__ = ["when_it_can"]

T = TypeVar("T")

PAUSE_S: Final = 0.5
REPEAT_S: Final = 30.0


def when_it_can(do: Callable[[], T], waiting_for: tuple[type[InterleafError], ...], tell: Callable[[str], None]) -> T:
    """What `do` gives, once it no longer raises one of these errors. The error is told at once and then each half
    minute, and another one at once."""
    told, told_at = "", 0.0
    while True:
        try:
            return do()
        except waiting_for as error:
            now = time.monotonic()
            if error.message != told or now - told_at >= REPEAT_S:
                told, told_at = error.message, now
                tell(f"waiting: {error.message}")
        time.sleep(PAUSE_S)
