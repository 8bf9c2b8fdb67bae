"""Render order: the formats of one piece that are on their way; sent again where a message may have been lost."""

from __future__ import annotations

import time
from typing import Final

from workers.queue.celery_app import RENDER
from workers.queue.dispatch import Dispatcher
from workers.queue.lease_keeper import LeaseKeeper
from workers.queue.watch import Watch
from workers.store.job_store import JobStore

__all__ = ["RenderOrder"]

# Rendering takes seconds: a format that was taken out of the queue this many leases ago died with who took it.
_TAKEN_LEASES: Final = 4


class RenderOrder:
    """Called with every heartbeat of a job whose formats are being rendered."""

    def __init__(
        self, store: JobStore, dispatcher: Dispatcher, keeper: LeaseKeeper, watch: Watch, wanted: tuple[str, ...]
    ) -> None:
        self._store, self._dispatcher, self._keeper, self._watch = store, dispatcher, keeper, watch
        self._wanted = wanted
        self._sent_at: float | None = None
        self._epoch = ""

    def carry_on(self) -> None:
        """Send what was not sent, or so long ago that it counts as lost (sooner where no message waits), or to a broker
        that lost its memory; cancel when that was asked for. LeaseLost when the job ended. ServiceAway: called again
        at the next beat."""
        claim = self._watch.claim
        if self._watch.reason == "canceled":
            self._keeper.let_go(self._watch)
            self._store.leases.finish(claim, "canceled")
            return
        epoch = self._dispatcher.epoch()
        now = time.monotonic()
        if self._sent_at is not None and epoch == self._epoch:
            age_s, settings = now - self._sent_at, self._store.settings
            lost = age_s >= settings.resend_s or (
                age_s >= _TAKEN_LEASES * settings.lease_s and self._dispatcher.is_empty(RENDER)
            )
            if not lost:
                return
        done = self._store.results.outcomes(claim)
        for format in self._wanted:
            if format not in done:
                self._dispatcher.send_render(claim, format)
        self._sent_at, self._epoch = now, epoch
