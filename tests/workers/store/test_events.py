"""Events: gapless by id however many write, read from any position, and honest about what was forgotten."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from interleaf.errors import InvalidRequest
from tests.workers.job_store import Store, assert_whole


def test_events_are_read_page_by_page_until_the_end(store: Store) -> None:
    claim = store.claimed()
    for number in range(5):
        store.leases.note(claim, "log", {"number": number})
    seen: list[int] = []
    position, pages = 0, 0
    while not (page := store.events.after(claim.job_id, store.owner, position, limit=3)).ended:
        pages += 1
        if not page.events:
            assert page.last_id == position == 7
            store.leases.finish(claim, "succeeded", result={})
            continue
        seen += [event.id for event in page.events]
        position = seen[-1]
    seen += [event.id for event in page.events]
    assert seen == list(range(1, 9))
    assert page.events[-1].name == "job.succeeded"
    assert pages == 4
    # Asking again from the end is the end, too.
    after = store.events.after(claim.job_id, store.owner, 8)
    assert (after.events, after.ended, after.gap_until) == ((), True, None)


def test_a_page_that_does_not_reach_the_last_event_is_not_the_end(store: Store) -> None:
    claim = store.claimed()
    store.leases.finish(claim, "succeeded", result={})
    assert not store.events.after(claim.job_id, store.owner, limit=2).ended
    assert store.events.after(claim.job_id, store.owner, limit=3).ended


@pytest.mark.parametrize(("position", "limit"), [(-1, 10), (3, 10), (10**30, 10), (0, 0), (0, 1001)])
def test_a_position_that_never_was_is_refused(store: Store, position: int, limit: int) -> None:
    claim = store.claimed()
    with pytest.raises(InvalidRequest):
        store.events.after(claim.job_id, store.owner, position, limit=limit)


def test_many_writers_leave_no_hole_and_no_double(store: Store) -> None:
    claims = [store.claimed() for _ in range(3)]

    def write(number: int) -> None:
        claim = claims[number % 3]
        store.leases.note(claim, "log", {"number": number})
        if number == 30:
            store.jobs.cancel(claims[0].job_id, store.owner)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(90)))
    assert assert_whole(store.database) == 3
    for job, extra in zip(claims, (1, 0, 0), strict=True):
        numbers = [event.data["number"] for event in store.told(job) if event.name == "log"]
        assert len(numbers) == len(set(numbers)) == 30
        assert store.get(job).event_count == 32 + extra


def test_a_reader_never_sees_an_event_before_the_one_before_it(store: Store) -> None:
    claim = store.claimed()

    def write() -> None:
        for _ in range(60):
            store.leases.note(claim, "log")
        store.leases.finish(claim, "succeeded", result={})

    seen: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while True:
            page = store.events.after(claim.job_id, store.owner, len(seen), limit=7)
            seen += [event.id for event in page.events]
            assert seen == list(range(1, len(seen) + 1))
            assert page.gap_until is None
            if page.ended:
                break
        writing.result(10)
    assert len(seen) == 63


def test_forgotten_events_leave_the_last_one_and_are_told_as_a_gap(store: Store) -> None:
    old, fresh, running = store.claimed(), store.claimed(), store.claimed()
    store.leases.finish(old, "succeeded", result={})
    store.clock.move(3600)
    store.leases.finish(fresh, "succeeded", result={})
    limit = store.clock() - timedelta(seconds=1)
    assert store.events.prune(limit) == 2
    assert store.events.prune(limit) == 0
    page = store.events.after(old.job_id, store.owner)
    assert [event.id for event in page.events] == [3]
    assert (page.gap_until, page.last_id, page.ended) == (3, 3, True)
    assert store.events.after(old.job_id, store.owner, 2).gap_until is None
    for job in (fresh, running):
        assert store.events.after(job.job_id, store.owner).gap_until is None
