"""Announcements are committed with what they tell of, told to whom asked, and never say more than GET does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from api.routes.job_view import job_view
from interleaf.errors import WorkerLost
from tests.workers.job_store import LEASE_S, Store, new_key
from tests.workers.store.webhook_hands import WebhookHands
from workers.store.announcements import DEFAULT_EVENTS, EVENTS, MAX_BODY_BYTES, announce
from workers.store.job import Job
from workers.store.publications import PUBLISHED


@pytest.fixture
def hands(store: Store) -> WebhookHands:
    return WebhookHands(store)


def ended(store: Store, state: Any, **fields: Any) -> Job:
    claim = store.leases.claim(store.create(**fields).id, "worker-1", LEASE_S)
    assert claim is not None
    error = WorkerLost("worker-1", "was lost.", "Try again.") if state == "failed" else None
    store.leases.finish(claim, state, result={"document_id": "doc_1"}, error=error)
    return store.get(claim)


@pytest.mark.parametrize("state", ["succeeded", "incomplete", "failed"])
def test_the_end_of_a_job_is_told_once(hands: WebhookHands, state: str) -> None:
    webhook = hands.create()
    job = ended(hands.store, state)
    (delivery,) = hands.all()
    assert (delivery.webhook_id, delivery.event, delivery.state) == (webhook.id, f"job.{state}", "pending")
    (said,) = hands.told()
    assert said["type"] == f"job.{state}"
    assert said["timestamp"] == hands.store.clock().isoformat()
    assert (said["data"]["id"], said["data"]["state"]) == (job.id, state)


def test_whoever_polls_reads_what_a_webhook_is_told(hands: WebhookHands) -> None:
    hands.create(*EVENTS)
    store = hands.store
    asked = store.asked()
    done = ended(store, "succeeded", external_id="x" * 200)
    said = {(one["type"], one["data"]["id"]): one["data"] for one in hands.told()}
    for job, event in ((asked, "job.awaiting_input"), (done, "job.succeeded")):
        shown = job_view(store.get(job)).model_dump(mode="json")
        data = said[event, job.id]
        assert data.pop("url") == f"/v1/jobs/{shown['id']}"
        if event == "job.awaiting_input":
            assert data.pop("request_id") == shown["input"]["request_id"]
            assert data.pop("input_url") == shown["input"]["url"]
        else:
            assert data.pop("document_id") == shown["result"]["document_id"]
        assert data == {name: shown[name] for name in data}
        assert set(data) == {"id", "kind", "state", "external_id"}


def test_a_job_that_waits_is_canceled_and_told(hands: WebhookHands) -> None:
    hands.create()
    job = hands.store.create()
    hands.store.jobs.cancel(job.id, hands.store.owner)
    assert [one["type"] for one in hands.told()] == ["job.canceled"]


def test_a_job_that_expires_is_told(hands: WebhookHands) -> None:
    hands.create()
    store = hands.store
    store.asked(deadline=store.clock() + timedelta(seconds=10))
    store.clock.move(11)
    store.reconciler.overdue()
    assert [one["type"] for one in hands.told()] == ["job.awaiting_input", "job.expired"]


def test_only_what_was_asked_for_is_told_and_only_to_the_owner(hands: WebhookHands) -> None:
    store = hands.store
    first, second = hands.create("job.started", "job.failed"), hands.create("job.succeeded")
    other = new_key(store.database, store.clock)
    hands.webhooks.create(other, "https://other.example.org/", DEFAULT_EVENTS)
    off = hands.create()
    hands.webhooks.change(off.id, store.owner, {"enabled": False})
    ended(store, "succeeded")
    assert {(one.webhook_id, one.event) for one in hands.all()} == {
        (first.id, "job.started"),
        (second.id, "job.succeeded"),
    }
    assert hands.deliveries.list(other, 10) == []


def test_what_was_undone_is_not_told(hands: WebhookHands) -> None:
    hands.create()
    store = hands.store
    claim = store.claimed()
    with pytest.raises(KeyError), store.database.transaction():
        store.leases.finish(claim, "succeeded", result={})
        assert len(hands.all()) == 1
        raise KeyError
    assert hands.all() == []
    assert store.state(claim) == "running"


def test_a_heartbeat_is_told_nobody(hands: WebhookHands) -> None:
    hands.create(*EVENTS)
    claim = hands.store.claimed()
    hands.store.leases.note(claim, "stage.began", {"stage": "plan"})
    hands.store.leases.beat(claim)
    assert [one["type"] for one in hands.told()] == ["job.started"]


def test_a_webhook_that_is_deleted_in_that_moment_costs_no_job_its_end(hands: WebhookHands) -> None:
    webhook = hands.create()
    claim = hands.store.claimed()
    with ThreadPoolExecutor(1) as pool:
        with hands.store.database.transaction():
            hands.webhooks.delete(webhook.id, hands.store.owner)
            finished = pool.submit(hands.store.leases.finish, claim, "succeeded", result={})
            with pytest.raises(TimeoutError):
                finished.result(1.0)  # it waits for what is being decided
        assert finished.result(30).state == "succeeded"
    assert hands.all() == []


def test_a_webhook_is_deleted_after_what_is_being_told(hands: WebhookHands) -> None:
    webhook = hands.create()
    claim = hands.store.claimed()
    with ThreadPoolExecutor(1) as pool:
        with hands.store.database.transaction():
            hands.store.leases.finish(claim, "succeeded", result={})
            deleted = pool.submit(hands.webhooks.delete, webhook.id, hands.store.owner)
            with pytest.raises(TimeoutError):
                deleted.result(1.0)
        deleted.result(30)
    assert hands.store.state(claim) == "succeeded"
    assert hands.all() == []


def test_a_publication_is_told(hands: WebhookHands) -> None:
    hands.create("document.published")
    store = hands.store
    with store.database.transaction() as session:
        announce(session, store.owner, PUBLISHED, {"id": "doc_1", "url": "/v1/documents/doc_1"}, store.clock())
    assert hands.told()[0]["data"] == {"id": "doc_1", "url": "/v1/documents/doc_1"}


def test_what_holds_contents_is_a_mistake(hands: WebhookHands) -> None:
    hands.create(*EVENTS)
    store = hands.store
    with pytest.raises(AssertionError, match="names things"), store.database.transaction() as session:
        announce(session, store.owner, PUBLISHED, {"text": "x" * MAX_BODY_BYTES}, store.clock())
    assert hands.all() == []
