"""Upkeep: what the service does every few seconds: puts right what crashed, and sends what waits to be sent."""

from __future__ import annotations

import logging
from collections.abc import Callable

from interleaf.errors import InterleafError
from workers.queue.dispatch import Dispatcher
from workers.store.job_store import JobStore

__all__ = ["upkeep"]

log = logging.getLogger(__name__)

_LIMIT = 100
_MAX_ROUNDS = 100


def upkeep(store: JobStore, dispatcher: Dispatcher) -> None:
    """One round. Safe to run in several processes at once. ServiceAway when the database or the broker is away;
    what the reconciler did before that stays done."""
    for step in (store.reconciler.lost, store.reconciler.overdue):
        for _ in range(_MAX_ROUNDS):
            done = step(_LIMIT)
            for job in done:
                log.info("job %s is %s now: attempt %d", job.id, job.state, job.attempt)
            if len(done) < _LIMIT:
                break
    store.library_requests.forget_expired()
    for work in (store.schedule_ticks.tick, store.publications.publish):
        _do(work)
    _go_on_with_batches(store)
    _do(store.batch_ends.note)
    dispatcher.send_waiting()


def _go_on_with_batches(store: JobStore) -> None:
    """Round after round while batches move on, so that a large one is not held up by the pauses between upkeeps."""
    try:
        for _ in range(_MAX_ROUNDS):
            if not store.batch_rounds.step(_LIMIT):
                break
    except InterleafError as error:
        log.warning("batches are not gone on with in this round: %s", error)


def _do(work: Callable[[int], int]) -> None:
    """What there is to do, in rounds of bounded work. What fails is logged, and hinders nothing that comes after it."""
    try:
        for _ in range(_MAX_ROUNDS):
            if work(_LIMIT) < _LIMIT:
                break
    except InterleafError as error:
        log.warning("not done in this round: %s", error)
