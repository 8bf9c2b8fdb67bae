"""Upkeep's steps for batches: all jobs ordered and sent in one round, the end told, and no step in another's way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from interleaf.errors import ServiceAway
from tests.workers.job_store import LEASE_S, Store, new_key
from workers.queue.celery_app import make_app
from workers.queue.dispatch import Dispatcher
from workers.queue.redis_server import RedisServer
from workers.queue.upkeep import upkeep
from workers.settings import Settings
from workers.store.batch import Batch
from workers.store.batch_order import BatchOrder, OrderedItem
from workers.store.batch_rounds import ROUND_ITEMS
from workers.store.batches import Batches
from workers.store.deliveries import Deliveries
from workers.store.job_store import JobStore
from workers.store.webhooks import Webhooks

COUNT = 2 * ROUND_ITEMS + 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def here(store: Store, server: RedisServer, tmp_path: Path) -> Iterator[JobStore]:
    """A worker's store over the database of the test, and an empty queue."""
    with redis.Redis(unix_socket_path=str(server.socket_path)) as client:
        client.flushall()
    made = JobStore(Settings(home=tmp_path / "home", database_url=store.url, redis_url=server.url))
    yield made
    made.close()


def round_of(here: JobStore) -> None:
    upkeep(here, Dispatcher(make_app(here.settings), here))


def sent(server: RedisServer) -> int:
    """Messages that wait for a compose worker."""
    with redis.Redis(unix_socket_path=str(server.socket_path)) as client:
        return int(client.llen("compose"))


def batches_of(here: JobStore) -> Batches:
    return Batches(here.database, here.batch_rounds, upload_kept=timedelta(days=1), clock=here.clock)


def batch_of(here: JobStore, owner: str, count: int = COUNT) -> Batch:
    batches = batches_of(here)
    items = [OrderedItem(str(number)) for number in range(count)]
    order = BatchOrder("sets", {"instruction": "The tide, {{ number }}."}, items)
    return batches.create(owner, batches.check(owner, order))


def test_one_round_orders_a_whole_batch_and_sends_it(here: JobStore, server: RedisServer) -> None:
    owner = new_key(here.database, here.clock)
    batch = batch_of(here, owner)
    round_of(here)
    assert batches_of(here).get(batch.id, owner).counts == {"queued": COUNT}
    assert sent(server) == COUNT
    round_of(here)
    assert sent(server) == COUNT, "nothing is sent twice"


def test_the_round_after_the_last_end_tells_of_it(here: JobStore) -> None:
    owner = new_key(here.database, here.clock)
    Webhooks(here.database).create(owner, "https://hooks.example.org/", ["batch.ended"])
    batch = batch_of(here, owner, 3)
    round_of(here)
    for item in batches_of(here).items(batch.id, owner, 10):
        assert Deliveries(here.database).list(owner, 10) == []
        claim = here.leases.claim(item.job_id or "", "worker-1", LEASE_S)
        assert claim is not None
        here.leases.finish(claim, "succeeded", result={})
        assert batches_of(here).get(batch.id, owner).ended_at is None
        round_of(here)
    assert batches_of(here).get(batch.id, owner).ended_at is not None
    (told,) = Deliveries(here.database).list(owner, 10)
    assert told.event == "batch.ended"
    round_of(here)
    assert len(Deliveries(here.database).list(owner, 10)) == 1


@pytest.mark.parametrize("step", ["batch_rounds.step", "batch_ends.note"])
def test_a_step_of_batches_that_fails_is_in_nobodys_way(
    here: JobStore, server: RedisServer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def away(_limit: int) -> int:
        raise ServiceAway("database", "is away.", "Try again.")

    owner = new_key(here.database, here.clock)
    job = here.jobs.create(owner, "article", {"instruction": "x"})
    wrong = batch_of(here, owner, 1)
    part, name = step.split(".")
    with monkeypatch.context() as patch:
        patch.setattr(getattr(here, part), name, away)
        round_of(here)
    assert here.jobs.get(job.id, owner).dispatched_at is not None
    assert sent(server) == (1 if step == "batch_rounds.step" else 2)
    round_of(here)
    assert batches_of(here).get(wrong.id, owner).counts == {"queued": 1}
    assert sent(server) == 2
