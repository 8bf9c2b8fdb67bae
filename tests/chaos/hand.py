"""Hand: somebody who uses a service while things are done to it; what went wrong for them is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from interleaf import Client
from interleaf.errors import InterleafError
from tests.chaos.service import ChaosService
from tests.chaos.verdict import Verdict

__all__ = ["Hand"]


class Hand:
    """Subclasses say in `work` what it does, in a thread of its own."""

    def __init__(self, service: ChaosService, name: str, *, wants: int) -> None:
        """`wants`: how many jobs will come of it, about."""
        self.service = service
        self.wants = wants
        self.job_ids: list[str] = []
        """What it ordered."""
        self.ends: set[tuple[str, str]] = set()
        """Of what it ordered beside jobs: the events that tell of ends, each with the id of what ended."""
        self.errors: list[str] = []
        """What the service or its client told it that no caller should hear."""
        self._threads = [threading.Thread(target=self._guarded, args=(self.work,), name=name)]

    def work(self) -> None:
        """Everything that it wants of the service."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin."""
        self._threads[0].start()

    @property
    def done(self) -> bool:
        """Whether it wants nothing more; what it began beside its work may go on."""
        return not self._threads[0].is_alive()

    @property
    def settled(self) -> bool:
        """Whether everything that it wants is a job by now. By the database: the API may not be there."""
        return self.done

    def look(self, client: Client) -> None:
        """What became of it, when all is over."""

    def tell(self, verdict: Verdict) -> None:
        """That, as lines of a verdict."""
        raise NotImplementedError

    def join(self, timeout_s: float) -> None:
        """Wait until it and all that it began have ended; who does not is an error."""
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                self.errors.append(f"{thread.name} does not end")

    def also(self, what: Callable[[], None], name: str) -> None:
        """Do that beside its work."""
        thread = threading.Thread(target=self._guarded, args=(what,), name=name)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, what: Callable[[], None]) -> None:
        try:
            what()
        except InterleafError as error:
            self.errors.append(f"{threading.current_thread().name}: {type(error).__name__}: {error}")
