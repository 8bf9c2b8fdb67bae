"""Batches under chance: any order of what owners, workers and the service do; several processes at once; a kill."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from interleaf.errors import JobActive, JobFinal, JobUnknown
from tests.fresh_database import make_fresh
from tests.workers.job_store import ROOT, Store, assert_whole
from tests.workers.store.batch_hands import BatchHands
from tests.workers.store.webhook_hands import WebhookHands
from workers.store.batch import ITEM_STATES, Batch
from workers.store.batch_ends import BATCH_ENDED
from workers.store.batch_rounds import ROUND_ITEMS
from workers.store.tables import JobRow

ITEMS = 3
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["step", "note", "succeed", "fail", "claim", "lose", "cancel_job", "delete_job", "cancel", "retry"]
        ),
        st.integers(0, ITEMS - 1),
    ),
    max_size=25,
)


def assert_right(hands: BatchHands, batch: Batch) -> None:
    found, items = hands.get(batch), hands.items(batch)
    assert found.counts == dict(Counter(item.state for item in items)), "counts are those of the items"
    assert sum(found.counts.values()) == found.item_count and set(found.counts) <= set(ITEM_STATES)
    assert found.ended or found.ended_at is None, "what goes on has not ended"
    jobs = [item.job_id for item in items if item.job_id is not None]
    assert len(set(jobs)) == len(jobs), "no job is of two items"
    with hands.store.database.reading() as session:
        rows = session.execute(select(JobRow.meta, JobRow.state)).all()
    live = Counter(row.meta["item"] for row in rows if row.state in ("queued", "running", "awaiting_input"))
    assert not live or max(live.values()) == 1, "no item is worked on twice"


def act(hands: BatchHands, batch: Batch, name: str, place: int) -> None:
    """Something that may happen to the batch; what is refused at this moment does not happen."""
    store, item = hands.store, hands.items(batch)[place]
    try:
        if name == "step":
            hands.rounds.step()
        elif name == "note":
            hands.ends.note()
        elif name == "cancel":
            hands.batches.cancel(batch.id, store.owner)
        elif name == "retry":
            hands.batches.retry(batch.id, store.owner)
        elif name == "lose":
            store.clock.move(31)
            store.reconciler.lost()
        elif item.job_id is None:
            return
        elif name == "cancel_job":
            store.jobs.cancel(item.job_id, store.owner)
        elif name == "delete_job":
            store.jobs.delete(item.job_id, store.owner)
        elif item.state == "queued" and name == "claim":
            store.leases.claim(item.job_id, "worker-1", 30)
        elif item.state == "queued":
            hands.end(item, "succeeded" if name == "succeed" else "failed")
    except (JobActive, JobFinal, JobUnknown):
        return


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, bad=st.sets(st.integers(1, ITEMS), max_size=1), most=st.integers(1, 8))
def test_whatever_happens_counts_are_right_and_no_item_is_made_twice(
    store: Store, steps: list[tuple[str, int]], bad: set[int], most: int
) -> None:
    store.clear()
    hands, hooks = BatchHands(store, max_active=most), WebhookHands(store)
    hooks.create(BATCH_ENDED)
    batch = hands.create(ITEMS, bad=tuple(bad))
    ends = 0
    for name, place in [("step", 0), *steps]:  # without a job hardly anything can happen
        before = hands.get(batch) if name == "note" else None
        act(hands, batch, name, place)
        assert_right(hands, batch)
        if before is not None:
            ends += before.ended and before.ended_at is None
            assert (hands.get(batch).ended_at is not None) == before.ended, "an end is seen as soon as somebody looks"
    assert len(hooks.all()) == ends, "each end is told once, and nothing else is"
    # And it comes to an end, however little room there is.
    for _ in range(200):
        if hands.get(batch).ended:
            break
        for name in ("step", "lose"):
            act(hands, batch, name, 0)
        for item in hands.items(batch):
            if item.state == "queued":
                hands.end(item)
    assert hands.get(batch).ended and hands.counts(batch).get("refused", 0) == len(bad)
    assert_right(hands, batch)
    assert_whole(store.database)


def test_several_at_once_make_each_item_once(store: Store) -> None:
    hands = BatchHands(store)
    batch = hands.create(3 * ROUND_ITEMS)
    others = [Store(store.url, clock=store.clock) for _ in range(3)]
    wrong: list[BaseException] = []

    def drain(one: Store) -> None:
        try:
            side = BatchHands(one)
            for _ in range(200):
                side.rounds.step()
                if not hands.get(batch).counts.get("waiting"):
                    return
            raise AssertionError("items wait after 200 rounds")
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=drain, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for one in others:
        one.database.close()
    assert not wrong
    assert_right(hands, batch)
    with store.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(JobRow)) == 3 * ROUND_ITEMS


KILLED = f"""
import os, signal, sys
from tests.workers.job_store import Store
from tests.workers.store.batch_hands import BatchHands
from workers.store.clock import utc_now
from workers.store.jobs import Jobs

create, calls = Jobs.create, []

def dies(self, *args, **kw):
    calls.append(1)
    if len(calls) == {ROUND_ITEMS + 20}:
        os.kill(os.getpid(), signal.SIGKILL)
    return create(self, *args, **kw)

Jobs.create = dies
BatchHands(Store(sys.argv[1], clock=utc_now)).drain()
"""


def test_a_process_that_is_killed_in_a_round_loses_none_and_doubles_none(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    make_fresh(store.database, store.url)
    hands = BatchHands(store)
    batch = hands.create(3 * ROUND_ITEMS)
    ended = subprocess.run([sys.executable, "-c", KILLED, store.url], cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == -9
    assert hands.counts(batch) == {"queued": ROUND_ITEMS, "waiting": 2 * ROUND_ITEMS}, "the round is undone as a whole"
    hands.drain()
    assert hands.counts(batch) == {"queued": 3 * ROUND_ITEMS}
    assert_right(hands, batch)
    assert assert_whole(store.database) == 3 * ROUND_ITEMS
    store.database.close()
