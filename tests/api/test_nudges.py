"""Nudges: new jobs are told in one go, whoever made them knows whether that can be relied on, and none is dropped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import pytest

from api import nudges as module
from api.app import create_app
from api.nudges import MAX_WAITING, Nudges
from interleaf.errors import ServiceAway
from tests.api.service import Service
from tests.fresh_database import make_fresh
from tests.workers.job_store import Store
from workers.store.job import Job
from workers.store.jobs import Jobs
from workers.store.outbox import Outbox


@pytest.fixture
def jobs_of(tmp_path: Path) -> Callable[[int], list[Job]]:
    """Makes jobs that count as sent."""
    store = Store(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    make_fresh(store.database, store.url)
    made = Jobs(store.database, clock=store.clock, caller_sends=lambda: True)
    return lambda count: [made.create(store.owner, "article", {}) for _ in range(count)]


async def run_to_end(nudges: Nudges) -> None:
    nudges.close()
    with anyio.fail_after(20):
        await nudges.run()


def test_new_jobs_go_together_and_the_rest_one_by_one(jobs_of: Callable[[int], list[Job]]) -> None:
    batches: list[list[Job]] = []
    names: list[str] = []
    jobs = jobs_of(3)

    async def use() -> None:
        nudges = Nudges(names.append, lambda found: batches.append(list(found)))
        for what in (jobs[0], "job_answered", jobs[1], "lib_deleted", jobs[2]):
            nudges.tell(what)
        await run_to_end(nudges)

    anyio.run(use)
    assert batches == [jobs]
    assert names == ["job_answered", "lib_deleted"]


def test_a_job_that_does_not_count_as_sent_is_delivered(jobs_of: Callable[[int], list[Job]], tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'other.sqlite'}")
    make_fresh(store.database, store.url)
    job, names = store.create(), list[str]()
    batches: list[Sequence[Job]] = []

    async def use() -> None:
        nudges = Nudges(names.append, batches.append)
        nudges.tell(job)
        await run_to_end(nudges)

    anyio.run(use)
    assert (names, batches) == ([job.id], [])


def test_nothing_counts_as_sent_while_the_queue_is_away_or_full(
    jobs_of: Callable[[int], list[Job]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.2)
    tried: list[float] = []

    def away(jobs: Sequence[Job]) -> None:
        tried.append(time.monotonic())
        raise ServiceAway("queue", "is away.")

    async def use() -> None:
        nudges = Nudges(None, away)
        assert nudges.takes_new()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(nudges.run)
            first, second = jobs_of(2)
            nudges.tell(first)
            while not tried:
                await anyio.sleep(0.005)
            await anyio.sleep(0.05)
            assert not nudges.takes_new()
            # It was promised before: so it is tried, after the pause.
            nudges.tell(second)
            nudges.close()
        assert len(tried) == 2
        assert tried[1] - tried[0] >= 0.2

    anyio.run(use)
    full = Nudges(None, away)
    for _ in range(MAX_WAITING):
        full.tell("job_x")  # nobody delivers these: they take no place
    assert full.takes_new()
    kept = Nudges(lambda name: None, away)
    for _ in range(MAX_WAITING + 5):
        kept.tell("job_x")
    assert not kept.takes_new()
    assert not Nudges(lambda name: None).takes_new()


def test_an_order_counts_as_sent_and_what_cannot_be_sent_is_put_back(service: Service) -> None:
    outbox = Outbox(service.database)
    seen: list[Job] = []
    away = False

    def send_new(jobs: Sequence[Job]) -> None:
        def send(taken: Sequence[Job]) -> None:
            if away:
                raise ServiceAway("queue", "is away.")
            seen.extend(taken)

        outbox.send_taken(jobs, send)

    def until(fits: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not fits():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    service.app = create_app(
        service.settings, service.database, service.store, deliver=service.deliver, send_new=send_new
    )
    client = service.client()
    made = client.order().json()["id"]
    until(lambda: [job.id for job in seen] == [made])
    assert service.jobs.get(made, service.alice_id) == seen[0]
    assert seen[0].dispatched_at is not None
    assert outbox.take() == []
    away = True
    late = client.order().json()["id"]
    until(lambda: service.jobs.get(late, service.alice_id).dispatched_at is None)
    assert [job.id for job in outbox.take()] == [late]
    assert service.sent == []
