"""A message is tried at its times until it is taken or given up, by one sender at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from interleaf.errors import InvalidRequest, ObjectUnknown
from tests.workers.job_store import Store, new_key
from tests.workers.store.webhook_hands import SEND_S, WebhookHands
from workers.store.deliveries import DEAF, JITTER, MAX_ASKED_S, SCHEDULE_S
from workers.store.tables import ApiKeyRow, WebhookRow
from workers.store.webhook import Delivery


@pytest.fixture
def hands(store: Store) -> WebhookHands:
    return WebhookHands(store)


def waiting(hands: WebhookHands, url: str = "https://hooks.example.org/") -> Delivery:
    """A message for a new webhook."""
    webhook = hands.create(url=url)
    return hands.webhooks.ping(webhook.id, hands.store.owner)


def test_a_message_that_is_taken_is_not_sent_again(hands: WebhookHands) -> None:
    message = waiting(hands)
    claimed = hands.claim()
    assert (claimed.id, claimed.body) == (message.id, message.body)
    assert hands.answered(claimed, 204)
    after = hands.get(message.id)
    assert (after.state, after.next_at, after.attempt_count) == ("delivered", None, 1)
    assert [(one.number, one.status, one.seconds, one.error) for one in after.attempts] == [(1, 204, 0.25, "")]
    hands.store.clock.move(1e6)
    assert hands.nothing_due()


def test_each_attempt_comes_when_the_schedule_says_and_after_the_last_it_has_failed(hands: WebhookHands) -> None:
    message = waiting(hands)
    begun = hands.store.clock()
    for number, pause_s in enumerate(SCHEDULE_S, start=1):
        if number > 1:
            hands.store.clock.move(pause_s - 0.001)
            assert hands.nothing_due()
            hands.store.clock.move(0.001)
        assert hands.answered(hands.claim(), 500)
    failed = hands.get(message.id)
    assert (failed.state, failed.next_at, failed.attempt_count) == ("failed", None, len(SCHEDULE_S))
    assert [one.number for one in failed.attempts] == list(range(1, len(SCHEDULE_S) + 1))
    assert hands.store.clock() - begun == timedelta(hours=75, minutes=35, seconds=5)
    hands.store.clock.move(1e6)
    assert hands.nothing_due()


def test_three_failures_and_then_it_is_taken(hands: WebhookHands) -> None:
    message = waiting(hands)
    for status, pause_s in ((500, 5), (None, 300), (302, 1_800), (200, 0)):
        assert hands.answered(hands.claim(), status)
        hands.store.clock.move(pause_s)
    after = hands.get(message.id)
    assert after.state == "delivered"
    assert [one.status for one in after.attempts] == [500, None, 302, 200]
    assert [bool(one.error) for one in after.attempts] == [True, True, True, False]


def test_pauses_are_longer_by_chance_and_never_shorter(store: Store) -> None:
    hands = WebhookHands(store, chance=1.0)
    message = waiting(hands)
    assert hands.answered(hands.claim(), 500)
    assert hands.get(message.id).next_at == store.clock() + timedelta(seconds=5 * (1 + JITTER))


def test_one_sender_at_a_time_and_the_same_id_when_it_dies(hands: WebhookHands) -> None:
    message = waiting(hands)
    first = hands.claim()
    assert hands.nothing_due()
    hands.store.clock.move(SEND_S)  # it was killed after sending
    second = hands.claim()
    assert (second.id, second.body) == (first.id, first.body)
    # The one that was taken for dead comes back: what it says counts no more.
    assert not hands.answered(first, 500)
    assert hands.get(message.id).attempts == ()
    assert hands.answered(second, 200)
    assert hands.get(message.id).state == "delivered"


def test_the_oldest_comes_first_and_whoever_is_slow_is_passed_over(hands: WebhookHands) -> None:
    first = waiting(hands)
    hands.store.clock.move(1)
    second = waiting(hands, "https://other.example.org/")
    assert hands.claim(but_webhooks={first.webhook_id}).id == second.id
    assert hands.claim().id == first.id


@pytest.mark.parametrize(
    ("asked_s", "pause_s"),
    [(90.0, 90), (3.0, 5), (0.0, 5), (-9.0, 5), (1e9, MAX_ASKED_S), (None, 5)],
    ids=["longer", "shorter", "nought", "past", "for ever", "nothing"],
)
def test_a_receiver_may_ask_to_be_left_alone_for_a_while(
    hands: WebhookHands, asked_s: float | None, pause_s: float
) -> None:
    message = waiting(hands)
    assert hands.answered(hands.claim(), 429, retry_after_s=asked_s)
    after = hands.get(message.id)
    assert (after.state, after.next_at) == ("pending", hands.store.clock() + timedelta(seconds=pause_s))


@pytest.mark.parametrize("took", ["nothing", "one before", "one meanwhile"])
def test_a_receiver_that_takes_nothing_any_more_is_switched_off(hands: WebhookHands, took: str) -> None:
    """After all attempts at a message, about three days; not where another one was taken meanwhile."""
    message = waiting(hands)
    if took == "one before":
        assert hands.answered(hands.claim(), 200)
        hands.store.clock.move(1)
        message = hands.webhooks.ping(message.webhook_id, hands.store.owner)
    for number in range(len(SCHEDULE_S)):
        hands.store.clock.move(SCHEDULE_S[number])
        assert hands.answered(hands.claim(), 500)
        if number == 4 and took == "one meanwhile":
            other = hands.webhooks.ping(message.webhook_id, hands.store.owner)
            claimed = hands.claim()
            assert claimed.id == other.id and hands.answered(claimed, 200)
    assert hands.get(message.id).state == "failed"
    webhook = hands.webhooks.get(message.webhook_id, hands.store.owner)
    assert webhook.disabled_why == ("" if took == "one meanwhile" else DEAF)
    assert (webhook.disabled_at is None) == (took == "one meanwhile")


def test_gone_switches_the_webhook_off(hands: WebhookHands) -> None:
    message = waiting(hands)
    hands.store.clock.move(1)
    other = hands.webhooks.ping(message.webhook_id, hands.store.owner)
    assert hands.answered(hands.claim(), 410)
    webhook = hands.webhooks.get(message.webhook_id, hands.store.owner)
    assert (webhook.disabled_at, webhook.disabled_why) == (hands.store.clock(), "its receiver answered 410")
    assert {hands.get(one.id).state for one in (message, other)} == {"failed"}
    assert hands.nothing_due()


def test_what_is_on_its_way_while_its_webhook_is_switched_off(hands: WebhookHands) -> None:
    taken, refused = waiting(hands), waiting(hands)
    claims = [hands.claim(), hands.claim()]
    for message in (taken, refused):
        hands.webhooks.change(message.webhook_id, hands.store.owner, {"enabled": False})
    status = {taken.id: 200, refused.id: 500}
    for claimed in claims:
        assert hands.answered(claimed, status[claimed.id])
    assert hands.get(taken.id).state == "delivered"
    assert (hands.get(refused.id).state, hands.get(refused.id).next_at) == ("failed", None)


def test_a_replay_has_the_same_id_and_body_and_all_its_attempts(hands: WebhookHands) -> None:
    message = waiting(hands)
    for pause_s in (*SCHEDULE_S[1:], 0):
        hands.answered(hands.claim(), 500)
        hands.store.clock.move(pause_s)
    hands.webhooks.change(message.webhook_id, hands.store.owner, {"enabled": True})  # it took nothing for so long
    again = hands.deliveries.replay(message.id, hands.store.owner)
    assert (again.state, again.attempt_count, again.next_at) == ("pending", 0, hands.store.clock())
    claimed = hands.claim()
    assert (claimed.id, claimed.body) == (message.id, message.body)
    hands.answered(claimed, 500)
    after = hands.get(message.id)
    assert (after.state, after.attempt_count) == ("pending", 1)
    assert after.attempts[-1].number == len(SCHEDULE_S) + 1


def test_what_a_revoked_key_has_set_up_ends(hands: WebhookHands) -> None:
    message = waiting(hands)
    with hands.store.database.transaction() as session:
        session.execute(
            update(ApiKeyRow).where(ApiKeyRow.id == hands.store.owner).values(revoked_at=hands.store.clock())
        )
    assert hands.nothing_due()
    assert hands.webhooks.get(message.webhook_id, hands.store.owner).disabled_why == "its key was revoked"
    assert hands.get(message.id).state == "failed"


def test_what_was_told_in_the_moment_it_was_switched_off_is_not_sent(hands: WebhookHands) -> None:
    message = waiting(hands)
    with hands.store.database.transaction() as session:
        session.execute(update(WebhookRow).values(disabled_at=hands.store.clock(), disabled_why="by hand"))
    hands.store.clock.move(1)
    other = waiting(hands, "https://other.example.org/")
    assert hands.claim().id == other.id
    assert hands.get(message.id).state == "failed"
    assert hands.webhooks.get(message.webhook_id, hands.store.owner).disabled_why == "by hand"


def test_another_owners_message_is_not_there(hands: WebhookHands) -> None:
    message = waiting(hands)
    other = new_key(hands.store.database, hands.store.clock)
    for ask in (hands.deliveries.get, hands.deliveries.replay):
        for named in (message.id, "msg_nonsense", "\x00"):
            with pytest.raises(ObjectUnknown):
                ask(named, other)
    assert hands.deliveries.list(other, 10) == []


def test_lists_go_by_id_by_webhook_and_by_state(hands: WebhookHands) -> None:
    made = []
    for _ in range(3):
        made.append(waiting(hands))
        hands.store.clock.move(1)
    hands.answered(hands.claim(), 200)
    owner, ids = hands.store.owner, [one.id for one in made]
    assert [one.id for one in hands.deliveries.list(owner, 2)] == [ids[2], ids[1]]
    assert [one.id for one in hands.deliveries.list(owner, 2, after=ids[1])] == [ids[0]]
    assert [one.id for one in hands.deliveries.list(owner, 2, before=ids[0])] == [ids[1], ids[2]]
    assert [one.id for one in hands.all(state="delivered")] == [ids[0]]
    assert [one.id for one in hands.all(webhook_id=made[1].webhook_id)] == [ids[1]]


def test_old_ones_are_forgotten_unless_they_are_still_to_be_sent(hands: WebhookHands) -> None:
    taken, open_one = waiting(hands), waiting(hands)
    hands.answered(hands.claim(but_webhooks={open_one.webhook_id}), 200)
    made_at = hands.store.clock()
    hands.store.clock.move(10)
    new = waiting(hands)
    hands.answered(hands.claim(but_webhooks={open_one.webhook_id}), 200)
    assert hands.deliveries.forget(made_at) == 0
    assert hands.deliveries.forget(made_at + timedelta(seconds=1)) == 1
    with pytest.raises(ObjectUnknown):
        hands.get(taken.id)
    assert hands.get(open_one.id).state == "pending"
    assert hands.get(new.id).state == "delivered"


def test_an_error_of_any_length_is_kept_in_its_beginning(hands: WebhookHands) -> None:
    message = waiting(hands)
    assert hands.answered(hands.claim(), None, "x" * 1_000)
    assert hands.get(message.id).attempts[0].error == "x" * 300


def test_a_ping_is_not_to_be_had_by_asking_for_it(hands: WebhookHands) -> None:
    with pytest.raises(InvalidRequest, match="no event"):
        hands.create("ping")
