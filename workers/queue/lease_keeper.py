"""Lease keeper: the heartbeat of the jobs that this process holds, from one thread beside whatever it is doing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from interleaf.errors import InterleafError, LeaseLost, ServiceAway
from workers.queue.watch import Watch
from workers.store.leases import Leases

__all__ = ["LeaseKeeper"]

log = logging.getLogger(__name__)

# Beats per lease: two may be missed, and a third may be late.
BEATS = 4
RETRY_S = 0.2


class LeaseKeeper:
    """Extends the lease of everything it is told to keep, until it is told to let go or the lease is lost.

    A watch may come with `each`, called after every beat that went well, from the keeper's thread; an error of
    interleaf that it raises is logged, and it is called again at the next beat.
    """

    def __init__(self, leases: Leases, lease_s: float) -> None:
        self._leases = leases
        self._interval_s = lease_s / BEATS
        self._kept: dict[Watch, Callable[[], None] | None] = {}
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._thread: threading.Thread | None = None

    def keep(self, watch: Watch, each: Callable[[], None] | None = None) -> None:
        """Keep it from now on; again, with another `each`, changes that."""
        with self._lock:
            self._kept[watch] = each
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="lease-keeper", daemon=True)
                self._thread.start()

    def let_go(self, watch: Watch) -> None:
        """No more beats for it."""
        with self._lock:
            self._kept.pop(watch, None)

    def kept(self) -> list[tuple[Watch, bool]]:
        """What is kept now, and whether it has an `each`."""
        with self._lock:
            return [(watch, each is not None) for watch, each in self._kept.items()]

    def renew(self, watch: Watch) -> None:
        """Ask the store for that lease now, for as long as it takes; afterwards it is extended, or the watch says why
        to stop."""
        while watch.reason is None and watch.expired:
            if not self._beat(watch):
                time.sleep(RETRY_S)

    def release_all(self) -> None:
        """This process ends: runs stop at their next step; what waits for others is given back at once."""
        for watch, waits in self.kept():
            watch.stop("released")
            if waits:
                self.let_go(watch)
                try:
                    self._leases.release(watch.claim, watch.take_use())
                except (LeaseLost, ServiceAway) as error:
                    log.info("not released: %s", error)

    def _work(self) -> None:
        while True:
            self._awake.wait(self._interval_s)
            with self._lock:
                kept = list(self._kept.items())
                if not kept:
                    self._thread = None
                    return
            for watch, each in kept:
                if self._beat(watch) and each is not None and watch.reason != "lost":
                    try:
                        each()
                    except LeaseLost:
                        self.let_go(watch)
                    except InterleafError as error:
                        log.warning("job %s: %s", watch.claim.job_id, error)

    def _beat(self, watch: Watch) -> bool:
        """Whether the store answered."""
        at, use = time.monotonic(), watch.take_use()
        try:
            order = self._leases.beat(watch.claim, use)
        except LeaseLost:
            watch.stop("lost")
            self.let_go(watch)
            return True
        except ServiceAway as error:
            watch.give_back(use)
            log.warning("no heartbeat of job %s: %s", watch.claim.job_id, error)
            return False
        watch.renewed(at)
        if order == "cancel":
            watch.stop("canceled")
        return True
