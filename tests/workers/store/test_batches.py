"""Batches: what their owner does with them and how their jobs come, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, update

from interleaf.errors import InvalidRequest, JobActive, ObjectUnknown, QuotaReached, ServiceAway, error_from_record
from tests.workers.job_store import Store, new_key
from tests.workers.store.batch_hands import BRIEF, BatchHands
from workers.store import batch_order, batches
from workers.store.api_keys import ApiKeys
from workers.store.batch_order import MAX_ITEMS, BatchOrder, OrderedItem
from workers.store.batch_rounds import PUT_OFF, ROUND_ITEMS
from workers.store.job_query import JobQuery
from workers.store.jobs import Jobs
from workers.store.tables import ApiKeyRow, BatchItemRow, JobRow

UNKNOWN = "bat_01kaj5v1c8m2n4p6q8r0s2t4v6"


@pytest.fixture
def hands(store: Store) -> BatchHands:
    return BatchHands(store)


def job_count(store: Store) -> int:
    with store.database.reading() as session:
        return session.scalar(select(func.count()).select_from(JobRow)) or 0


def test_a_batch_is_made_ordered_looked_at_and_listed(hands: BatchHands) -> None:
    first = hands.create(3, name="harbours", metadata={"team": "sea"})
    assert (first.item_count, dict(first.counts), first.ended) == (3, {"waiting": 3}, False)
    assert job_count(hands.store) == 0, "the batch is there before any of its jobs"
    assert len(hands.rounds.advance(first.id) or ()) == 3
    assert hands.counts(first) == {"queued": 3}
    assert hands.rounds.advance(first.id) is None, "there is nothing left to do"
    job = hands.items(first)[1].job
    assert job is not None and job.metadata == {"team": "sea", "batch": first.id, "item": "h2"}
    brief = hands.store.jobs.brief(job.id, hands.store.owner)
    assert brief["instruction"] == "The tide at Harbour 2, number 2."
    found = hands.store.jobs.list(hands.store.owner, JobQuery(metadata={"batch": first.id}))
    assert len(found.jobs) == 3
    second = hands.create(1)
    owner = hands.store.owner
    listed = hands.batches.list(owner, 10)
    assert [one.id for one in listed] == [second.id, first.id] and listed[1].brief == {}
    assert listed[1].counts == {"queued": 3}
    assert [one.id for one in hands.batches.list(owner, 10, after=second.id)] == [first.id]
    assert [one.id for one in hands.batches.list(owner, 10, before=first.id)] == [second.id]
    for item in hands.items(first):
        hands.end(item)
    assert hands.get(first).ended and hands.counts(first) == {"succeeded": 3}


def test_items_are_paged_by_their_numbers(hands: BatchHands) -> None:
    batch, owner = hands.create(5), hands.store.owner
    page = hands.batches.items(batch.id, owner, 2, after=2)
    assert [item.number for item in page] == [3, 4] and [item.id for item in page] == ["3", "4"]
    assert [item.number for item in hands.batches.items(batch.id, owner, 2, before=5)] == [4, 3]
    assert [item.custom_id for item in hands.batches.items_named(batch.id, owner, [5, 1, 9])] == ["h5", "h1"]


def test_what_is_anothers_is_not_there(hands: BatchHands) -> None:
    batch = hands.create()
    other = new_key(hands.store.database, hands.store.clock)
    for batch_id, owner in ((batch.id, other), (UNKNOWN, hands.store.owner), ("x\0'", hands.store.owner)):
        for act in (
            hands.batches.get,
            hands.batches.cancel,
            hands.batches.retry,
            hands.batches.delete,
            hands.batches.reports,
            lambda i, o: hands.batches.items(i, o, 10),
            lambda i, o: hands.batches.items_named(i, o, [1]),
        ):
            with pytest.raises(ObjectUnknown):
                act(batch_id, owner)
    assert hands.batches.list(other, 10) == []


def test_an_item_that_is_wrong_is_an_item_with_an_error(hands: BatchHands) -> None:
    batch = hands.make(
        BatchOrder(
            "sets",
            BRIEF | {"libraries": ["{{ place }}"]},
            [
                OrderedItem("no value", {"harbour": "Brest"}),
                OrderedItem("no library", {"harbour": "Brest", "place": "none"}),
                OrderedItem("a list", {"harbour": ["Brest", "Cork"], "place": "none"}),
                OrderedItem("a name of the service", {"number": 1}),
            ],
        )
    )
    assert batch.counts == {"refused": 4} and batch.ended, "a batch may consist of nothing else"
    said = [error_from_record(item.error or {}).args[0] for item in hands.items(batch)]
    assert said == ["brief.libraries[0]", "libraries[0]", "variables.harbour", "variables.number"]
    assert hands.drain() == 0 and job_count(hands.store) == 0
    some = hands.create(4, bad=(2, 3))
    hands.drain()
    assert hands.counts(some) == {"refused": 2, "queued": 2}
    assert hands.batches.retry(some.id, hands.store.owner).counts == {"refused": 2, "queued": 2}


@pytest.mark.parametrize(
    ("fields", "thing"),
    [
        ({"items": []}, "items"),
        ({"items": [OrderedItem(str(n)) for n in range(MAX_ITEMS + 1)]}, "items"),
        ({"items": [OrderedItem("a"), OrderedItem("a")]}, "items[1].custom_id"),
        ({"items": [OrderedItem("")]}, "items[0].custom_id"),
        ({"items": [OrderedItem("a\n")]}, "items[0].custom_id"),
        ({"name": "two\nlines"}, "name"),
        ({"metadata": {"batch": "x"}}, "metadata.batch"),
        ({"metadata": {str(n): "x" for n in range(15)}}, "metadata"),
        ({"metadata": {"a b": "x"}}, "metadata"),
    ],
)
def test_what_is_wrong_with_the_batch_itself_is_named(hands: BatchHands, fields: dict[str, Any], thing: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        hands.create(**fields)
    assert refused.value.thing == thing
    assert hands.batches.list(hands.store.owner, 10) == []


@pytest.mark.parametrize(("count", "seed", "thing"), [(1, 0, "variants"), (51, 0, "variants"), (2, -1, "first_seed")])
def test_variants_have_bounds(count: int, seed: int, thing: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        BatchOrder.of_variants(BRIEF, count, seed)
    assert refused.value.thing == thing


def test_variants_are_one_brief_with_seeds_of_their_own(hands: BatchHands) -> None:
    batch = hands.make(BatchOrder.of_variants({"instruction": "The tide, {{ seed }}.", "seed": 99}, 3, 7))
    hands.drain()
    briefs = [hands.store.jobs.brief(item.job_id or "", hands.store.owner) for item in hands.items(batch)]
    assert [brief["seed"] for brief in briefs] == [7, 8, 9]
    assert [brief["instruction"] for brief in briefs] == ["The tide, 7.", "The tide, 8.", "The tide, 9."]


def test_a_small_body_does_not_become_a_large_database(hands: BatchHands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_CHARS", 5_000)
    wide = {"instruction": "{{ harbour }}" * 3}
    with pytest.raises(InvalidRequest) as refused:
        hands.create(brief=wide, items=[OrderedItem(str(n), {"harbour": "x" * 1_000}) for n in range(2)])
    assert refused.value.thing == "items"
    hands.create(brief=wide, items=[OrderedItem("1", {"harbour": "x" * 1_000})])
    assert batch_order.chars_in({"a": ["bc", 1, {"d": "e"}], "f": None}) == 3


def test_a_key_has_so_many_batches(hands: BatchHands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_BATCHES", 1)
    batch = hands.create()
    with pytest.raises(QuotaReached):
        hands.create()
    hands.batches.delete(batch.id, hands.store.owner)
    hands.create()


# How jobs come


def test_jobs_come_in_rounds(hands: BatchHands) -> None:
    batch = hands.create(2 * ROUND_ITEMS + 1)
    seen = []
    while (ordered := hands.rounds.advance(batch.id)) is not None:
        seen.append(len(ordered))
    assert seen == [ROUND_ITEMS, ROUND_ITEMS, 1]
    assert hands.counts(batch) == {"queued": 2 * ROUND_ITEMS + 1}


def test_a_batch_takes_half_of_what_its_key_may_have(store: Store) -> None:
    hands = BatchHands(store, max_active=5)
    batch = hands.create(7)
    hands.drain()
    assert hands.counts(batch) == {"queued": 3, "waiting": 4}, "no item is refused for lack of room"
    hands.end(hands.items(batch)[0])
    hands.drain()
    assert hands.counts(batch) == {"succeeded": 1, "queued": 3, "waiting": 3}
    with store.database.transaction() as session:
        session.execute(update(ApiKeyRow).values(max_active_jobs=1))
    for item in hands.items(batch)[1:4]:
        hands.end(item)
    hands.drain()
    assert hands.counts(batch) == {"succeeded": 4, "queued": 1, "waiting": 2}, "the key's own quota holds"
    with store.database.transaction() as session:
        session.execute(update(ApiKeyRow).values(max_active_jobs=0))
    assert hands.drain() == 0


def test_a_full_queue_is_waited_for(store: Store) -> None:
    hands = BatchHands(store, max_queued=4)
    batch = hands.create(3)
    other = store.create()
    hands.drain()
    assert hands.counts(batch) == {"queued": 1, "waiting": 2}
    store.jobs.cancel(other.id, store.owner)
    hands.drain()
    assert hands.counts(batch) == {"queued": 2, "waiting": 1}


def test_a_batch_without_room_holds_up_no_other_key(hands: BatchHands) -> None:
    store = hands.store
    stuck = hands.create(1)
    with store.database.transaction() as session:
        session.execute(update(ApiKeyRow).values(max_active_jobs=0))
    other = new_key(store.database, store.clock)
    order = BatchOrder("sets", {"instruction": "x"}, [OrderedItem("a")])
    theirs = hands.batches.create(other, hands.batches.check(other, order))
    assert hands.rounds.step() == 1
    assert hands.batches.get(theirs.id, other).counts == {"queued": 1} and hands.counts(stuck) == {"waiting": 1}


def test_a_process_that_dies_in_a_round_has_ordered_nothing_of_it(
    hands: BatchHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, create, calls = hands.create(ROUND_ITEMS + 10), Jobs.create, []

    def dies(self: Jobs, *args: Any, **kw: Any) -> Any:
        calls.append(1)
        if len(calls) == ROUND_ITEMS + 5:
            raise SystemExit
        return create(self, *args, **kw)

    monkeypatch.setattr(Jobs, "create", dies)
    with pytest.raises(SystemExit):
        hands.drain()
    assert hands.counts(batch) == {"queued": ROUND_ITEMS, "waiting": 10}
    assert job_count(hands.store) == ROUND_ITEMS
    hands.drain()
    items = hands.items(batch)
    assert len({item.job_id for item in items}) == len(items) == job_count(hands.store)


def test_a_round_that_cannot_be_written_is_done_later(hands: BatchHands, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = hands.create()

    def away(*_: Any, **__: Any) -> Any:
        raise ServiceAway("database", "is away.")

    with monkeypatch.context() as patched:
        patched.setattr(Jobs, "create", away)
        with pytest.raises(ServiceAway):
            hands.drain()
    assert hands.counts(batch) == {"waiting": 3}
    hands.drain()
    assert hands.counts(batch) == {"queued": 3}


def test_a_mistake_of_the_program_puts_one_batch_off(hands: BatchHands, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = hands.create()

    def wrong(*_: Any, **__: Any) -> Any:
        raise ValueError("a mistake")

    with monkeypatch.context() as patched:
        patched.setattr(Jobs, "create", wrong)
        assert hands.drain() == 0
    assert hands.drain() == 0, "it is not looked at again at once"
    hands.store.clock.move(PUT_OFF.total_seconds())
    hands.drain()
    assert hands.counts(batch) == {"queued": 3}


def test_what_is_refused_only_when_it_is_ordered_is_an_item_with_an_error(hands: BatchHands) -> None:
    batch = hands.create()
    with hands.store.database.transaction() as session:  # as when an upload has expired meanwhile
        session.execute(update(BatchItemRow).where(BatchItemRow.number == 2).values(variables={}))
    hands.drain()
    assert hands.counts(batch) == {"queued": 2, "refused": 1}


def test_the_batches_of_a_revoked_key_end(hands: BatchHands) -> None:
    batch = hands.create(ROUND_ITEMS + 1)
    hands.rounds.advance(batch.id)
    ApiKeys(hands.store.database, clock=hands.store.clock).revoke(hands.store.owner)
    hands.drain()
    assert hands.counts(batch) == {"queued": ROUND_ITEMS, "canceled": 1}


# Cancel, retry, delete


def test_a_canceled_batch_orders_nothing_more_and_stops_what_is_there(hands: BatchHands) -> None:
    batch, owner = hands.create(5 * ROUND_ITEMS + 3), hands.store.owner
    for _ in range(5):
        hands.rounds.advance(batch.id)
    first, second = hands.items(batch)[:2]
    hands.end(first)
    assert hands.store.leases.claim(second.job_id or "", "worker-1", 30) is not None
    canceled = hands.batches.cancel(batch.id, owner)
    assert canceled.canceled_at is not None and not canceled.ended
    assert canceled.counts["canceled"] >= 3, "what was not ordered is canceled at once"
    with pytest.raises(JobActive):
        hands.batches.retry(batch.id, owner)
    hands.drain()
    assert hands.counts(batch) == {"succeeded": 1, "canceling": 1, "canceled": 5 * ROUND_ITEMS + 1}
    hands.store.clock.move(31)
    hands.store.reconciler.lost()
    assert hands.counts(batch) == {"succeeded": 1, "canceled": 5 * ROUND_ITEMS + 2}
    again = hands.batches.cancel(batch.id, owner)
    assert again.canceled_at == canceled.canceled_at and again.ended


def test_a_batch_that_has_ended_is_not_canceled(hands: BatchHands) -> None:
    batch = hands.create(1)
    hands.drain()
    hands.end(hands.items(batch)[0])
    assert hands.batches.cancel(batch.id, hands.store.owner).canceled_at is None


def test_a_retry_goes_on_with_what_failed_and_with_nothing_else(hands: BatchHands) -> None:
    batch, owner = hands.create(6, bad=(6,)), hands.store.owner
    hands.drain()
    items = hands.items(batch)
    for item, state in zip(items, ("succeeded", "failed", "incomplete", "failed"), strict=False):
        hands.end(item, state)  # type: ignore[arg-type] # of literals
    hands.store.jobs.cancel(items[4].job_id or "", owner)
    assert hands.get(batch).ended
    again = hands.batches.retry(batch.id, owner)
    assert again.counts == {"succeeded": 1, "incomplete": 1, "waiting": 3, "refused": 1}
    hands.store.jobs.delete(items[3].job_id or "", owner)
    hands.drain()
    now = hands.items(batch)
    assert hands.counts(batch) == {"succeeded": 1, "incomplete": 1, "queued": 3, "refused": 1}
    assert [one.job_id == before.job_id for one, before in zip(now, items, strict=True)] == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]
    job = now[1].job
    assert job is not None and job.retry_of == items[1].job_id and items[1].job is not None
    assert job.run_id == items[1].job.run_id, "it goes on in the same run"
    assert now[3].job is not None and now[3].job.retry_of is None, "a job that was deleted is made anew"
    hands.batches.retry(batch.id, owner)
    assert hands.drain() == 0, "nothing has failed"


def test_a_canceled_batch_goes_on_when_it_is_retried(hands: BatchHands) -> None:
    batch, owner = hands.create(ROUND_ITEMS + 2), hands.store.owner
    hands.rounds.advance(batch.id)
    assert hands.batches.cancel(batch.id, owner).ended
    again = hands.batches.retry(batch.id, owner)
    assert again.counts == {"waiting": ROUND_ITEMS + 2} and again.canceled_at is None
    hands.drain()
    assert hands.counts(batch) == {"queued": ROUND_ITEMS + 2}


def test_a_job_that_a_hand_tries_again_is_left_to_it(hands: BatchHands) -> None:
    batch, owner = hands.create(1), hands.store.owner
    hands.drain()
    item = hands.items(batch)[0]
    hands.end(item, "failed")
    hands.batches.retry(batch.id, owner)
    hands.store.jobs.retry(item.job_id or "", owner)
    hands.drain()
    assert hands.items(batch)[0].job_id == item.job_id and hands.counts(batch) == {"failed": 1}
    assert job_count(hands.store) == 2


def test_jobs_outlive_their_batch_and_a_batch_its_jobs(hands: BatchHands) -> None:
    batch, owner = hands.create(2), hands.store.owner
    hands.drain()
    first = hands.items(batch)[0]
    hands.end(first)
    hands.store.jobs.delete(first.job_id or "", owner)
    assert hands.counts(batch) == {"deleted": 1, "queued": 1}
    assert [item.state for item in hands.items(batch)] == ["deleted", "queued"]
    hands.batches.delete(batch.id, owner)
    with pytest.raises(ObjectUnknown):
        hands.get(batch)
    assert job_count(hands.store) == 1
    with hands.store.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(BatchItemRow)) == 0


def test_reports_are_those_of_the_pieces(hands: BatchHands) -> None:
    batch = hands.create(3, bad=(3,))
    hands.drain()
    hands.end(hands.items(batch)[1], report={"words": 5})
    assert hands.batches.reports(batch.id, hands.store.owner) == {1: None, 2: {"words": 5}, 3: None}
