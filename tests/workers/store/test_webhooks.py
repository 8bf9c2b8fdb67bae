"""A webhook's owner makes, changes, switches off and deletes it, and changes its secret while messages flow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from interleaf.errors import InvalidRequest, ObjectUnknown, QuotaReached
from interleaf.webhooks import sign, verify
from tests.workers.job_store import Store, new_key
from tests.workers.store.webhook_hands import URL, WebhookHands
from workers.store.announcements import DEFAULT_EVENTS
from workers.store.webhooks import BY_OWNER, MAX_SECRETS, MAX_WEBHOOKS


@pytest.fixture
def hands(store: Store) -> WebhookHands:
    return WebhookHands(store)


def test_the_secret_is_told_once_and_can_sign(hands: WebhookHands) -> None:
    webhook, secret = hands.webhooks.create(hands.store.owner, URL, DEFAULT_EVENTS, "to the newsroom")
    assert hands.webhooks.get(webhook.id, hands.store.owner) == webhook
    assert secret not in repr(webhook)
    body = b'{"type":"ping","timestamp":"2026-01-01T12:00:00+00:00","data":{}}'
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "7", "webhook-signature": sign(secret, "msg_1", 7, body)}
    assert verify(body, headers, secret, now_s=7).type == "ping"
    assert hands.webhooks.create(hands.store.owner, URL, DEFAULT_EVENTS)[1] != secret


@pytest.mark.parametrize(
    ("events", "said"), [((), "are none"), (("job.done",), "no event"), (("job.failed\x00",), "no event")]
)
def test_what_is_no_event_is_refused(hands: WebhookHands, events: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        hands.webhooks.create(hands.store.owner, URL, events)
    webhook = hands.create()
    with pytest.raises(InvalidRequest, match=said):
        hands.webhooks.change(webhook.id, hands.store.owner, {"events": events})
    assert hands.webhooks.get(webhook.id, hands.store.owner) == webhook


def test_another_owners_webhook_is_not_there(hands: WebhookHands) -> None:
    webhook = hands.create()
    other = new_key(hands.store.database, hands.store.clock)
    for ask in (
        lambda named: hands.webhooks.get(named, other),
        lambda named: hands.webhooks.change(named, other, {"enabled": False}),
        lambda named: hands.webhooks.delete(named, other),
        lambda named: hands.webhooks.add_secret(named, other),
        lambda named: hands.webhooks.remove_secret(named, other, webhook.secrets[0].id),
        lambda named: hands.webhooks.ping(named, other),
    ):
        for named in (webhook.id, "whk_nonsense", "\x00"):
            with pytest.raises(ObjectUnknown):
                ask(named)
    assert hands.webhooks.list(other, 10) == []
    assert hands.webhooks.get(webhook.id, hands.store.owner) == webhook


def test_a_key_has_so_many_and_no_more_though_two_ask_at_once(hands: WebhookHands) -> None:
    for _ in range(MAX_WEBHOOKS - 1):
        hands.create()
    with ThreadPoolExecutor(1) as pool:
        with hands.store.database.transaction():
            hands.create()
            second = pool.submit(hands.create)
            with pytest.raises(TimeoutError):
                second.result(1.0)  # it waits for the first
        with pytest.raises(QuotaReached):
            second.result(30)
    assert len(hands.webhooks.list(hands.store.owner, 100)) == MAX_WEBHOOKS


def test_lists_go_by_id_both_ways(hands: WebhookHands) -> None:
    made = []
    for _ in range(3):
        made.append(hands.create().id)
        hands.store.clock.move(1)
    owner = hands.store.owner
    assert [one.id for one in hands.webhooks.list(owner, 2)] == [made[2], made[1]]
    assert [one.id for one in hands.webhooks.list(owner, 2, after=made[1])] == [made[0]]
    assert [one.id for one in hands.webhooks.list(owner, 2, before=made[0])] == [made[1], made[2]]


def test_switched_off_nothing_waits_for_it_any_more(hands: WebhookHands) -> None:
    webhook = hands.create()
    waiting = hands.webhooks.ping(webhook.id, hands.store.owner)
    off = hands.webhooks.change(webhook.id, hands.store.owner, {"enabled": False, "description": "later"})
    assert (off.disabled_at, off.disabled_why, off.description) == (hands.store.clock(), BY_OWNER, "later")
    assert (hands.get(waiting.id).state, hands.get(waiting.id).next_at) == ("failed", None)
    assert hands.nothing_due()
    for ask in (hands.webhooks.ping, lambda _, owner: hands.deliveries.replay(waiting.id, owner)):
        with pytest.raises(InvalidRequest, match="off"):
            ask(webhook.id, hands.store.owner)
    on = hands.webhooks.change(webhook.id, hands.store.owner, {"enabled": True})
    assert (on.disabled_at, on.disabled_why) == (None, "")
    assert hands.nothing_due()
    hands.deliveries.replay(waiting.id, hands.store.owner)
    assert hands.claim().id == waiting.id


def test_what_waits_goes_to_the_new_address(hands: WebhookHands) -> None:
    webhook = hands.create()
    hands.webhooks.ping(webhook.id, hands.store.owner)
    hands.webhooks.change(webhook.id, hands.store.owner, {"url": "https://new.example.org/"})
    assert hands.claim().url == "https://new.example.org/"


def test_deleted_with_all_that_was_sent(hands: WebhookHands) -> None:
    webhook = hands.create()
    message = hands.webhooks.ping(webhook.id, hands.store.owner)
    claimed = hands.claim()
    hands.webhooks.delete(webhook.id, hands.store.owner)
    assert not hands.answered(claimed, 200)
    with pytest.raises(ObjectUnknown):
        hands.get(message.id)
    with pytest.raises(ObjectUnknown):
        hands.webhooks.get(webhook.id, hands.store.owner)


def test_secrets_are_added_and_removed_one_by_one(hands: WebhookHands) -> None:
    owner = hands.store.owner
    webhook, old = hands.webhooks.create(owner, URL, DEFAULT_EVENTS)
    kept, new = hands.webhooks.add_secret(webhook.id, owner)
    hands.webhooks.ping(webhook.id, owner)
    claimed = hands.claim()
    assert claimed.secrets == (new, old)
    left = hands.webhooks.remove_secret(webhook.id, owner, webhook.secrets[0].id)
    assert left.secrets == (kept,)
    with pytest.raises(InvalidRequest, match="only secret"):
        hands.webhooks.remove_secret(webhook.id, owner, kept.id)
    with pytest.raises(ObjectUnknown):
        hands.webhooks.remove_secret(webhook.id, owner, webhook.secrets[0].id)
    for _ in range(MAX_SECRETS - 1):
        hands.webhooks.add_secret(webhook.id, owner)
    with pytest.raises(QuotaReached):
        hands.webhooks.add_secret(webhook.id, owner)
