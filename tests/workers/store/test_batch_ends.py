"""The end of a batch: seen and told once, whatever happens beside it; its uploads are kept until then."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from api.routes.batch_views import BatchView
from interleaf.errors import ObjectUnknown, ServiceAway
from tests.workers.job_store import Store, new_key
from tests.workers.store.batch_hands import BRIEF, BatchHands
from tests.workers.store.schedule_hands import KEPT, ScheduleHands
from tests.workers.store.webhook_hands import WebhookHands
from workers.store import batch_ends
from workers.store.batch_ends import BATCH_ENDED, BatchEnds
from workers.store.batch_order import BatchOrder, OrderedItem
from workers.store.uploads import Upload, Uploads


@pytest.fixture
def hands(store: Store) -> BatchHands:
    return BatchHands(store)


@pytest.fixture
def hooks(store: Store) -> WebhookHands:
    hooks = WebhookHands(store)
    hooks.create(BATCH_ENDED)
    return hooks


def sent(hands: BatchHands, folder: Path, count: int) -> tuple[Uploads, list[Upload]]:
    uploads = ScheduleHands(hands.store).uploads(folder)
    return uploads, [uploads.add(hands.store.owner, f"{n}.md", BytesIO(b"The tide.")) for n in range(count)]


def naming(*upload_ids: str, variables: dict[str, Any] | None = None) -> BatchOrder:
    """A batch of one item that names these uploads in its brief."""
    brief = {"instruction": "x", "sources": [f"upload:{upload_id}" for upload_id in upload_ids]}
    if variables:
        brief["sources"] = [*brief["sources"], "{{ file }}"]
    return BatchOrder("sets", brief, [OrderedItem("one", variables or {})])


def test_an_end_is_told_once_and_says_what_polling_says(hands: BatchHands, hooks: WebhookHands) -> None:
    batch = hands.create(3, bad=(2,))
    assert hands.ends.note() == 0, "nothing is ordered yet"
    hands.drain()
    first, _, last = hands.items(batch)
    hands.end(first, "failed")
    assert hands.ends.note() == 0, "one is under way"
    assert hands.get(batch).ended_at is None
    hands.end(last)
    hands.store.clock.move(2)
    assert hands.ends.note() == 1
    assert hands.ends.note() == 0
    found = hands.get(batch)
    assert found.ended and found.ended_at == hands.store.clock()
    (said,) = hooks.told()
    assert (said["type"], said["timestamp"]) == (BATCH_ENDED, hands.store.clock().isoformat())
    data, shown = said["data"], BatchView.of(found).model_dump(mode="json")
    assert data["counts"] == {"failed": 1, "refused": 1, "succeeded": 1}
    assert data.pop("url") == f"/v1/batches/{batch.id}"
    assert data.pop("results_url") == f"/v1/batches/{batch.id}/results"
    assert datetime.fromisoformat(data.pop("ended_at")) == datetime.fromisoformat(shown["ended_at"])
    assert data == {name: shown[name] for name in data}


def test_it_comes_again_under_the_same_id_until_it_is_taken(hands: BatchHands, hooks: WebhookHands) -> None:
    hands.create(1, bad=(1,))
    assert hands.ends.note() == 1, "a batch of nothing but refused items has ended"
    lost = hooks.claim()
    hooks.answered(lost, 500)
    hands.store.clock.move(6)
    again = hooks.claim()
    hooks.answered(again, 204)
    assert (again.id, again.body) == (lost.id, lost.body)
    hooks.deliveries.replay(again.id, hands.store.owner)
    replayed = hooks.claim()
    assert (replayed.id, replayed.body) == (lost.id, lost.body)
    assert len(hooks.all()) == 1


def test_who_says_nothing_else_hears_of_batches_too_and_strangers_do_not(hands: BatchHands) -> None:
    hooks = WebhookHands(hands.store)
    usual = hooks.create()
    other = new_key(hands.store.database, hands.store.clock)
    hooks.webhooks.create(other, "https://other.example.org/", [BATCH_ENDED])
    hands.create(1, bad=(1,))
    hands.ends.note()
    assert [one.webhook_id for one in hooks.all()] == [usual.id]
    assert hooks.deliveries.list(other, 10) == []


def test_of_several_that_look_at_once_one_tells(hands: BatchHands, hooks: WebhookHands) -> None:
    batches = [hands.create(2, bad=(1, 2)) for _ in range(5)]
    others = [Store(hands.store.url, clock=hands.store.clock) for _ in range(4)]
    ends = [BatchEnds(one.database, upload_kept=KEPT, clock=one.clock) for one in others]
    with ThreadPoolExecutor(len(ends)) as pool:
        noted = [count for _ in range(3) for count in pool.map(lambda one: one.note(), ends)]
    for one in others:
        one.database.close()
    assert sum(noted) == len(batches)
    assert sorted(said["data"]["id"] for said in hooks.told()) == sorted(batch.id for batch in batches)


def test_many_are_seen_a_few_at_a_time(hands: BatchHands) -> None:
    for _ in range(5):
        hands.create(1, bad=(1,))
    hands.create(1)
    assert [hands.ends.note(2) for _ in range(4)] == [2, 2, 1, 0]


@pytest.mark.parametrize("deleted", [False, True])
def test_a_canceled_batch_has_ended_when_its_jobs_have(hands: BatchHands, hooks: WebhookHands, deleted: bool) -> None:
    batch, owner = hands.create(3), hands.store.owner
    hands.drain()
    item = hands.items(batch)[0]
    claim = hands.store.leases.claim(item.job_id or "", "worker-1", 30)
    assert claim is not None
    hands.batches.cancel(batch.id, owner)
    assert hands.counts(batch) == {"canceled": 2, "canceling": 1}
    assert hands.ends.note() == 0
    hands.store.leases.finish(claim, "canceled")
    if deleted:
        hands.store.jobs.delete(claim.job_id, owner)
    assert hands.ends.note() == 1
    (said,) = hooks.told()
    assert said["data"]["counts"] == ({"canceled": 2, "deleted": 1} if deleted else {"canceled": 3})


def test_one_that_is_canceled_before_it_has_jobs_has_ended(hands: BatchHands, hooks: WebhookHands) -> None:
    batch = hands.create(3)
    hands.batches.cancel(batch.id, hands.store.owner)
    assert hands.ends.note() == 1
    assert hooks.told()[0]["data"]["counts"] == {"canceled": 3}


def test_one_that_is_tried_again_ends_again(hands: BatchHands, hooks: WebhookHands) -> None:
    batch, owner = hands.create(2), hands.store.owner
    hands.drain()
    for item in hands.items(batch):
        hands.end(item, "failed" if item.number == 1 else "succeeded")
    hands.ends.note()
    assert hands.batches.retry(batch.id, owner).ended_at is None
    assert hands.ends.note() == 0
    hands.drain()
    assert hands.ends.note() == 0
    hands.end(hands.items(batch)[0])
    hands.store.clock.move(1)
    assert hands.ends.note() == 1
    assert [said["data"]["counts"] for said in hooks.told()] == [{"failed": 1, "succeeded": 1}, {"succeeded": 2}]
    at = hands.get(batch).ended_at
    assert hands.batches.retry(batch.id, owner).ended_at == at is not None, "there was nothing to try again"


def test_one_that_is_tried_again_while_it_is_looked_at_has_not_ended(hands: BatchHands, hooks: WebhookHands) -> None:
    batch, store = hands.create(1), hands.store
    hands.drain()
    hands.end(hands.items(batch)[0], "failed")

    def in_between() -> datetime:
        """Between the look at all batches and the moment that this one is held."""
        hands.batches.retry(batch.id, store.owner)
        now: datetime = store.clock()
        return now

    assert BatchEnds(store.database, upload_kept=KEPT, clock=in_between).note() == 0
    assert hands.get(batch).ended_at is None and hooks.told() == []


def test_an_end_that_cannot_be_told_is_not_written_either(
    hands: BatchHands, hooks: WebhookHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = hands.create(1, bad=(1,))
    with monkeypatch.context() as patch:

        def away(*_: Any) -> None:
            raise ServiceAway("database", "is away.", "Try again.")

        patch.setattr(batch_ends, "announce", away)
        with pytest.raises(ServiceAway):
            hands.ends.note()
    assert hands.get(batch).ended_at is None
    assert hands.ends.note() == 1 and len(hooks.told()) == 1


def test_uploads_are_kept_until_the_batch_that_names_them_has_ended(hands: BatchHands, tmp_path: Path) -> None:
    uploads, (named, listed, free) = sent(hands, tmp_path, 3)
    owner, clock = hands.store.owner, hands.store.clock
    batch = hands.make(naming(named.id, variables={"file": f"upload:{listed.id}"}))
    clock.move(2 * KEPT.total_seconds())
    assert uploads.forget_expired() == 1
    with pytest.raises(ObjectUnknown):
        uploads.get(free.id, owner)
    hands.drain()
    assert hands.counts(batch) == {"queued": 1}, "it waited for longer than uploads are kept, and is not refused"
    assert [uploads.get(one.id, owner).expires_at for one in (named, listed)] == [None] * 2
    hands.end(hands.items(batch)[0], "failed")
    assert hands.ends.note() == 1
    until = clock() + KEPT
    assert [uploads.get(one.id, owner).expires_at for one in (named, listed)] == [until] * 2
    clock.move(KEPT.total_seconds() / 2)
    hands.batches.retry(batch.id, owner)
    assert [uploads.get(one.id, owner).expires_at for one in (named, listed)] == [None] * 2, "it goes on"
    hands.batches.delete(batch.id, owner)
    until = clock() + KEPT
    assert [uploads.get(one.id, owner).expires_at for one in (named, listed)] == [until] * 2
    clock.move(KEPT.total_seconds() + 1)
    assert uploads.forget_expired() == 2


def test_an_upload_that_something_else_needs_stays(hands: BatchHands, tmp_path: Path) -> None:
    uploads, (both, listed, of_schedule) = sent(hands, tmp_path, 3)
    owner, clock = hands.store.owner, hands.store.clock
    first = hands.make(naming(both.id, listed.id, of_schedule.id))
    second = hands.make(naming(both.id, variables={"file": f"upload:{listed.id}"}))
    schedules = ScheduleHands(hands.store)
    schedule = schedules.create(brief={"instruction": "x", "sources": [f"upload:{of_schedule.id}"]})
    hands.batches.cancel(first.id, owner)
    assert hands.ends.note() == 1
    assert [uploads.get(one.id, owner).expires_at for one in (both, listed, of_schedule)] == [None] * 3
    schedules.schedules.delete(schedule.id, owner)
    until = clock() + KEPT
    found = [uploads.get(one.id, owner).expires_at for one in (both, listed, of_schedule)]
    assert found == [None, None, until], "a batch that has ended needs nothing"
    schedules.create(brief={"instruction": "x", "sources": [f"upload:{both.id}"]})
    hands.batches.cancel(second.id, owner)
    assert hands.ends.note() == 1
    assert [uploads.get(one.id, owner).expires_at for one in (both, listed)] == [None, until]


def test_a_schedule_that_goes_leaves_a_batch_its_uploads(hands: BatchHands, tmp_path: Path) -> None:
    uploads, (listed,) = sent(hands, tmp_path, 1)
    schedules = ScheduleHands(hands.store)
    schedule = schedules.create(brief={"instruction": "x", "sources": [f"upload:{listed.id}"]})
    hands.make(naming(variables={"file": f"upload:{listed.id}"}))
    schedules.schedules.delete(schedule.id, hands.store.owner)
    assert uploads.get(listed.id, hands.store.owner).expires_at is None


def test_what_only_refused_items_name_and_what_is_anothers_is_not_kept(hands: BatchHands, tmp_path: Path) -> None:
    uploads, (mine,) = sent(hands, tmp_path, 1)
    other = new_key(hands.store.database, hands.store.clock)
    theirs = uploads.add(other, "theirs.md", BytesIO(b"Secret."))
    items = [
        OrderedItem("refused", {"harbour": "Brest", "file": f"upload:{mine.id}", "place": "none"}),
        OrderedItem("stranger", {"harbour": "Cork", "file": f"upload:{theirs.id}", "place": "none"}),
    ]
    batch = hands.make(BatchOrder("sets", BRIEF | {"sources": ["{{ file }}"], "libraries": ["{{ place }}"]}, items))
    assert hands.counts(batch) == {"refused": 2}
    assert uploads.get(mine.id, hands.store.owner).expires_at == mine.expires_at
    assert uploads.get(theirs.id, other).expires_at == theirs.expires_at
    hands.ends.note()
    assert uploads.get(mine.id, hands.store.owner).expires_at == mine.expires_at
