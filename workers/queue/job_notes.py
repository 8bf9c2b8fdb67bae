"""Job notes: what a run tells of its course, written a few times a second and not one by one: each commit waits for the
disk."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from interleaf.errors import InterleafError, LeaseLost, ServiceAway
from workers.queue.soon import Soon
from workers.queue.watch import Watch
from workers.store.database import Database
from workers.store.leases import Leases, Note

__all__ = ["JobNotes"]

log = logging.getLogger(__name__)

T = TypeVar("T")

# A reader does not see more than a few changes in a second, and a killed worker takes no more than this with it.
DELAY_S: Final = 0.2


class JobNotes:
    """Notes of one claimed job on their way to the store, in their order. Safe for several threads.

    They are written by a thread of their own after a moment, or with the next thing that is written of the job.
    """

    def __init__(self, database: Database, leases: Leases, watch: Watch) -> None:
        self._database, self._leases, self._watch = database, leases, watch
        self._lock = threading.Lock()
        self._waiting: list[Note] = []
        # How many of them were in a write of which nobody knows whether it arrived.
        self._unsure = 0
        self._armed = False

    def add(self, note: Note) -> None:
        """To be written soon. What comes back of it (canceled, lost) is told to the watch."""
        with self._lock:
            self._waiting.append(note)
            self._arm()

    def with_those(self, write: Callable[[], T]) -> T:
        """`write()` in one transaction with the notes that are not written yet, which come first. LeaseLost and what
        `write` raises: nothing was written, and the notes are still here. ServiceAway: likewise, as far as anybody
        knows; notes that had arrived all the same are not written again."""

        def both(notes: tuple[Note, ...]) -> T:
            self._tell(notes)
            return write()

        return self.handing_over(both)

    def handing_over(self, write: Callable[[tuple[Note, ...]], T]) -> T:
        """As `with_those`, for what writes the notes itself, in one with its own."""
        with self._lock:
            return self._written(write)

    def _written(self, write: Callable[[tuple[Note, ...]], T]) -> T:
        if self._unsure and self._waiting and self._leases.has_told(self._watch.claim, self._waiting[0]):
            del self._waiting[: self._unsure]
        self._unsure = 0
        batch = tuple(self._waiting)
        try:
            result = self._database.together(lambda: write(batch), self._watch.claim.job.owner)
        except ServiceAway:
            self._unsure = len(batch)
            raise
        del self._waiting[: len(batch)]
        return result

    def _tell(self, notes: tuple[Note, ...]) -> None:
        if notes and self._leases.tell(self._watch.claim, notes) == "cancel":
            self._watch.stop("canceled")

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            _SOON.call(self._write_later)

    def _write_later(self) -> None:
        with self._lock:
            self._armed = False
            if not self._waiting:
                return
            try:
                self._written(self._tell)
            except LeaseLost:
                self._waiting.clear()
                self._watch.stop("lost")
            except ServiceAway:
                # The lease may run out meanwhile; then nobody waits for these any more.
                if self._watch.reason is None:
                    self._arm()
            except InterleafError as error:
                log.warning("notes of job %s are not written: %s", self._watch.claim.job_id, error)
                self._waiting.clear()


_SOON: Final = Soon(DELAY_S, "job-notes")
