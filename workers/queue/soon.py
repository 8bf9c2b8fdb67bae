"""Soon: calls things a moment later, all from one thread: starting a thread for each costs more than most of them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Soon"]

log = logging.getLogger(__name__)


class Soon:
    """Everything comes `delay_s` after it was handed in, in that order; later when what comes before it takes longer.
    The thread is started when there is something to wait for, in each process anew."""

    def __init__(self, delay_s: float, name: str) -> None:
        self._delay_s, self._name = delay_s, name
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def call(self, what: Callable[[], None]) -> None:
        """Call it then. What it raises is logged."""
        with self._changed:
            self._waiting.append((time.monotonic() + self._delay_s, what))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            elif len(self._waiting) == 1:
                self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                at, what = self._waiting.popleft()
            time.sleep(max(0.0, at - time.monotonic()))
            try:
                what()
            except Exception:  # the next ones are not to wait for ever
                log.exception("%s", self._name)
