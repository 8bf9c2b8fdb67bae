"""Outbox: every waiting job gets a message, also when the queue loses it, and as few twice as can be."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from interleaf.errors import ServiceAway
from tests.workers.job_store import LEASE_S, Store
from workers.store.job import Job


def test_a_waiting_job_is_sent_once_oldest_first(store: Store) -> None:
    made = []
    for _ in range(3):
        made.append(store.create().id)
        store.clock.move(1)
    store.claimed()
    store.asked()
    sent: list[str] = []
    assert store.outbox.deliver(lambda jobs: sent.extend(job.id for job in jobs), limit=2) == 2
    assert store.outbox.deliver(lambda jobs: sent.extend(job.id for job in jobs)) == 1
    assert store.outbox.deliver(lambda jobs: sent.extend(job.id for job in jobs)) == 0
    assert sent == made
    assert store.jobs.get(made[0], store.owner).dispatched_at == store.clock()


def test_a_message_that_was_lost_is_sent_again(store: Store) -> None:
    job = store.create()
    assert len(store.outbox.take()) == 1
    store.clock.move(299)
    assert store.outbox.take() == []
    store.clock.move(1)
    assert [found.id for found in store.outbox.take()] == [job.id]
    # Known to be lost: at once, but only what was sent before.
    other = store.create()
    store.clock.move(1)
    store.outbox.take()
    assert store.outbox.forget_sent(store.clock()) == 1
    assert [found.id for found in store.outbox.take()] == [job.id]
    assert store.state(other) == "queued"


def test_what_comes_back_to_the_queue_is_sent_anew(store: Store) -> None:
    claim = store.claimed()
    store.outbox.take()
    store.leases.release(claim)
    assert [job.id for job in store.outbox.take()] == [claim.job_id]
    again = store.leases.claim(claim.job_id, "worker-2", LEASE_S)
    assert again is not None
    store.clock.move(LEASE_S)
    store.reconciler.lost()
    assert [job.id for job in store.outbox.take()] == [claim.job_id]


def test_an_answered_job_is_sent_although_it_was_sent_before(store: Store) -> None:
    by_person, by_time = store.create(), store.create()
    store.outbox.take()
    soon = store.clock() + timedelta(seconds=1)
    for job in (by_person, by_time):
        claim = store.leases.claim(job.id, "worker-1", LEASE_S)
        assert claim is not None
        asked = store.leases.ask(claim, {"asks": "outline"}, soon, "approve")
        if job is by_person:
            store.jobs.answer(job.id, store.owner, str(asked.request_id), "approve")
    assert [job.id for job in store.outbox.take()] == [by_person.id]
    store.clock.move(1)
    store.reconciler.overdue()
    assert [job.id for job in store.outbox.take()] == [by_time.id]


def test_a_queue_that_is_away_costs_no_time_once_it_is_back(store: Store) -> None:
    jobs = [store.create() for _ in range(3)]
    sent: list[str] = []

    def send(jobs: Sequence[Job]) -> None:
        raise ServiceAway("queue", "is away.")

    with pytest.raises(ServiceAway):
        store.outbox.deliver(send)
    assert store.outbox.deliver(lambda jobs: sent.extend(job.id for job in jobs)) == 3
    assert sorted(sent) == sorted(job.id for job in jobs)


def test_one_job_is_sent_right_after_it_was_made(store: Store) -> None:
    job, _other = store.create(), store.create()
    sent: list[str] = []
    assert store.outbox.deliver(lambda jobs: sent.extend(job.id for job in jobs), job_id=job.id) == 1
    assert store.outbox.deliver(lambda jobs: sent.extend(job.id for job in jobs), job_id=job.id) == 0
    assert sent == [job.id]


def test_what_was_put_back_too_late_stays_as_it_is(store: Store) -> None:
    store.create()
    first = store.outbox.take()
    store.clock.move(300)
    store.outbox.take()
    store.outbox.put_back(first)
    assert store.outbox.take() == []
    claim = store.leases.claim(first[0].id, "worker-1", LEASE_S)
    assert claim is not None
    ended = store.leases.finish(claim, "succeeded", result={})
    store.outbox.put_back([ended])
    assert store.get(ended) == ended


def test_several_outboxes_take_each_job_once(store: Store) -> None:
    with store.database.transaction():
        ids = [store.create().id for _ in range(120)]

    def take(_: int) -> list[str]:
        got: list[str] = []
        # Nobody stops at a single empty round: others may hold rows at that moment and fail to mark them.
        for _round in range(15):
            got += [job.id for job in store.outbox.take(limit=7)]
        return got

    with ThreadPoolExecutor(4) as pool:
        taken = [one for got in pool.map(take, range(4)) for one in got]
    taken += [job.id for job in store.outbox.take(limit=1000)]
    assert sorted(taken) == sorted(ids)
