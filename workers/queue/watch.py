"""Watch: what a run asks while it works: whether to stop, and why; it counts the seconds and tokens that are used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from interleaf.schema import Budget
from workers.store.job import Claim, Use

__all__ = ["Reason", "Watch"]

WARN_SHARE = 0.8
"""Of a limit: from then on whoever waits should know that it may not suffice."""

Reason = Literal["lost", "canceled", "released", "seconds", "tokens"]
"""Why to stop: another worker has the job; somebody asked; this worker ends; a limit of the budget is reached."""


class Watch:
    """Over one claim. Safe to ask from every thread of the run; asking costs a look at the clock.

    The lease is also held against this process's own clock: one that slept (SIGSTOP, a suspended laptop) asks the
    store again, with `renew`, before the run writes anything more.
    """

    def __init__(self, claim: Claim, *, renew: Callable[[Watch], None] | None = None) -> None:
        self.claim = claim
        self.reason: Reason | None = None
        self._budget = Budget()
        self._renew = renew
        self._lock = threading.RLock()
        self._begun = self._told = time.monotonic()
        self._ended: float | None = None
        self._tokens = self._tokens_told = 0
        self._unsure = False
        self._warned: set[str] = set()
        self._valid_until = self._begun + claim.lease_s

    def limit(self, budget: Budget) -> None:
        """The limits of the job, over all its attempts."""
        self._budget = budget

    def stop(self, reason: Reason) -> None:
        """Ask to stop. The first reason counts, except that a lost lease goes before everything."""
        with self._lock:
            if self.reason is None or reason == "lost":
                self.reason = reason

    def canceled(self) -> bool:
        """Whether the run is to stop now."""
        if self.reason is not None:
            return True
        now = time.monotonic()
        if now >= self._valid_until and self._renew is not None:
            with self._lock:
                if self.reason is None and time.monotonic() >= self._valid_until:
                    self._renew(self)
        if self._budget.seconds is not None and self.claim.job.seconds_used + now - self._begun >= self._budget.seconds:
            self.stop("seconds")
        return self.reason is not None

    def spend(self, tokens: int) -> None:
        """Count tokens that a model wrote."""
        with self._lock:
            self._tokens += tokens
            used = self.claim.job.tokens_used + self._tokens
        if self._budget.tokens is not None and used >= self._budget.tokens:
            self.stop("tokens")

    def nearly_spent(self) -> list[tuple[str, float, float]]:
        """Limits of which four fifths are used: name, used, limit. Each is told once."""
        with self._lock:
            job = self.claim.job
            seconds = job.seconds_used + (self._ended or time.monotonic()) - self._begun
            used = (
                ("seconds", seconds, self._budget.seconds),
                ("tokens", job.tokens_used + self._tokens, self._budget.tokens),
            )
            found: list[tuple[str, float, float]] = []
            for name, now, most in used:
                if most is not None and now >= WARN_SHARE * most and name not in self._warned:
                    self._warned.add(name)
                    found.append((name, round(now, 1), most))
            return found

    def renewed(self, at: float) -> None:
        """The store extended the lease, and has what was used; `at`: our monotonic time from just before we asked."""
        self._unsure = False
        self._valid_until = max(self._valid_until, at + self.claim.lease_s)

    @property
    def expired(self) -> bool:
        """Whether the lease has run out by our own clock."""
        return time.monotonic() >= self._valid_until

    def end(self) -> None:
        """The run works no more: from now on no seconds are counted."""
        with self._lock:
            self._ended = self._ended or time.monotonic()

    def take_use(self) -> Use:
        """What was used since this was asked last."""
        with self._lock:
            now = self._ended or time.monotonic()
            in_all = Use(now - self._begun, self._tokens) if self._unsure else None
            use = Use(max(0.0, now - self._told), self._tokens - self._tokens_told, in_all)
            self._told, self._tokens_told = now, self._tokens
            return use

    def give_back(self, use: Use) -> None:
        """Nobody knows whether that use reached the store: it is to be told again, so that it counts once."""
        with self._lock:
            self._unsure = True
            self._told -= use.seconds
            self._tokens_told -= use.tokens
