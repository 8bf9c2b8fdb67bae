"""The courier against real receivers: signed, once where it is taken, again where it is not, nobody held up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from standardwebhooks import Webhook as StandardWebhook

from interleaf.errors import ServiceAway
from tests.fresh_database import make_fresh
from tests.workers.job_store import Store
from tests.workers.receiver import Receiver, receiving
from tests.workers.store.webhook_hands import WebhookHands
from workers.outbound.outbound import Outbound, OutboundLimits
from workers.queue.courier import OF_ONE_WEBHOOK, Courier
from workers.store.clock import utc_now
from workers.store.deliveries import ClaimedDelivery, Outcome
from workers.store.webhook import Delivery

QUICK = OutboundLimits(all_s=0.5, idle_s=0.5)


@pytest.fixture
def hands(tmp_path: Path) -> Iterator[WebhookHands]:
    made = Store(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    made.clock.now = utc_now()  # time stamps are held against the real time
    make_fresh(made.database, made.url)
    yield WebhookHands(made)
    made.database.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def courier(hands: WebhookHands, outbound: Outbound | None = None) -> Courier:
    chosen = outbound or Outbound(private=True, limits=QUICK)
    return Courier(hands.deliveries, lambda: chosen, clock=hands.store.clock, look_s=0.05)


def pinged(hands: WebhookHands, url: str) -> Delivery:
    return hands.webhooks.ping(hands.create(url=url).id, hands.store.owner)


def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def test_a_message_is_signed_with_every_secret(hands: WebhookHands, receiver: Receiver) -> None:
    owner = hands.store.owner
    webhook, old = hands.webhooks.create(owner, receiver.url, ["job.canceled"])
    _, new = hands.webhooks.add_secret(webhook.id, owner)
    job = hands.store.create()
    hands.store.jobs.cancel(job.id, owner)
    assert courier(hands).send_one()
    (heard,) = receiver.heard
    assert heard.path == "/in?token=geheim"
    assert heard.headers["content-type"] == "application/json"
    for secret in (old, new):
        message = heard.message(secret)
        assert (message.type, message.data["id"], message.data["state"]) == ("job.canceled", job.id, "canceled")
        assert StandardWebhook(secret).verify(heard.body.decode(), heard.headers)["type"] == "job.canceled"
    (delivery,) = hands.all()
    assert (delivery.id, delivery.state, delivery.body) == (heard.id, "delivered", heard.body)
    assert not courier(hands).send_one()


@pytest.mark.parametrize(
    ("status", "said"),
    [(500, "answered 500."), (404, "answered 404."), (302, "answered 302, and redirects are not followed.")],
)
def test_what_is_not_taken_is_sent_again_later(hands: WebhookHands, receiver: Receiver, status: int, said: str) -> None:
    with receiving() as elsewhere:
        receiver.headers = {"Location": elsewhere.url}
        receiver.answers = [status, 200]
        message = pinged(hands, receiver.url)
        sending = courier(hands)
        assert sending.send_one()
        assert not sending.send_one()
        hands.store.clock.move(5)
        assert sending.send_one()
        assert elsewhere.heard == []
    after = hands.get(message.id)
    assert after.state == "delivered"
    assert [(one.status, one.error) for one in after.attempts] == [(status, said), (200, "")]
    assert [one.id for one in receiver.heard] == [message.id] * 2
    first, second = receiver.heard
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 5
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


@pytest.mark.parametrize("said", ["40", "Sat, 28 Nov 2026 10:00:40 GMT"], ids=["seconds", "a date"])
def test_a_receiver_that_asks_for_a_pause_gets_it(hands: WebhookHands, receiver: Receiver, said: str) -> None:
    receiver.headers = {"Retry-After": said, "Date": "Sat, 28 Nov 2026 10:00:00 GMT"}
    receiver.answers = [503, 200]
    message = pinged(hands, receiver.url)
    sending = courier(hands)
    assert sending.send_one()
    hands.store.clock.move(39)
    assert not sending.send_one()
    hands.store.clock.move(1)
    assert sending.send_one()
    assert hands.get(message.id).state == "delivered"


def test_gone_is_believed(hands: WebhookHands, receiver: Receiver) -> None:
    receiver.answers = [410]
    message = pinged(hands, receiver.url)
    assert courier(hands).send_one()
    assert hands.webhooks.get(message.webhook_id, hands.store.owner).disabled_at is not None
    hands.store.clock.move(1e6)
    assert not courier(hands).send_one()
    assert len(receiver.heard) == 1


def test_who_hangs_or_is_not_there_has_not_taken_it(hands: WebhookHands, receiver: Receiver) -> None:
    over = threading.Event()
    receiver.answers = [lambda: over.wait(30)]
    hanging = pinged(hands, receiver.url)
    assert courier(hands).send_one()
    over.set()
    away = pinged(hands, "http://127.0.0.1:9/in/geheim")
    assert courier(hands).send_one()
    for message, said in ((hanging, "did not answer"), (away, "cannot be connected to")):
        (attempt,) = hands.get(message.id).attempts
        assert (attempt.status, said in attempt.error, "geheim" in attempt.error) == (None, True, False)


def test_an_address_that_became_private_is_refused_at_each_attempt(hands: WebhookHands, receiver: Receiver) -> None:
    answers: list[Sequence[str]] = [["8.8.8.8"], ["127.0.0.1"], ["169.254.169.254"]]
    outbound = Outbound(https=True, resolver=lambda host, port: answers.pop(0))
    outbound.check("https://hooks.example.org/")  # when it was made the name led into the internet
    message = pinged(hands, "https://hooks.example.org/")
    sending = courier(hands, outbound)
    assert sending.send_one()
    hands.store.clock.move(5)
    assert sending.send_one()
    assert ["private" in one.error or "no request may go" in one.error for one in hands.get(message.id).attempts] == [
        True,
        True,
    ]
    assert receiver.heard == []
    assert answers == []


def test_without_tls_nothing_is_sent_into_the_internet(hands: WebhookHands) -> None:
    message = pinged(hands, "http://hooks.example.org/")
    asked: list[str] = []
    outbound = Outbound(https=True, resolver=lambda host, port: asked.append(host) or ["8.8.8.8"])
    assert courier(hands, outbound).send_one()
    (attempt,) = hands.get(message.id).attempts
    assert "https" in attempt.error
    assert asked == []


def test_what_cannot_be_recorded_is_sent_again_with_the_same_id(
    hands: WebhookHands, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = pinged(hands, receiver.url)
    record = hands.deliveries.record

    def away(claimed: ClaimedDelivery, outcome: Outcome) -> bool:
        raise ServiceAway("database", "cannot be used now.", "Try again.")

    monkeypatch.setattr(hands.deliveries, "record", away)
    with pytest.raises(ServiceAway):
        courier(hands).send_one()
    monkeypatch.setattr(hands.deliveries, "record", record)
    assert not courier(hands).send_one()
    hands.store.clock.move(60)
    assert courier(hands).send_one()
    assert [one.id for one in receiver.heard] == [message.id] * 2
    assert hands.get(message.id).state == "delivered"


def test_a_mistake_of_ours_is_counted_and_does_not_go_round_for_ever(
    hands: WebhookHands, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = pinged(hands, receiver.url)

    def broken(*_: object) -> str:
        raise KeyError("oops")

    monkeypatch.setattr("workers.queue.courier.sign", broken)
    assert courier(hands).send_one()
    after = hands.get(message.id)
    assert (after.attempt_count, after.attempts[0].status) == (1, None)
    assert "oops" not in after.attempts[0].error
    assert receiver.heard == []


def test_one_that_hangs_holds_up_neither_others_nor_the_end(hands: WebhookHands, receiver: Receiver) -> None:
    over = threading.Event()
    receiver.answers = [lambda: over.wait(30)]
    slow = hands.create(url=receiver.url)
    for _ in range(20):
        hands.webhooks.ping(slow.id, hands.store.owner)
    hands.store.clock.move(1)
    outbound = Outbound(private=True, limits=OutboundLimits(all_s=60, idle_s=60))
    sending = courier(hands, outbound)
    with receiving() as quick:
        message = pinged(hands, quick.url)
        sending.start()
        quick.hears(1)
        until(lambda: hands.get(message.id).state == "delivered")
        assert len(receiver.hears(OF_ONE_WEBHOOK)) == OF_ONE_WEBHOOK
        over.set()
        receiver.hears(20)
        until(lambda: {one.state for one in hands.all()} == {"delivered"})
    sending.stop()
    assert not [one for one in threading.enumerate() if one.name == "courier"]


def test_two_couriers_send_everything_once(hands: WebhookHands, receiver: Receiver) -> None:
    webhook = hands.create(url=receiver.url)
    made = {hands.webhooks.ping(webhook.id, hands.store.owner).id for _ in range(30)}
    both = [courier(hands), courier(hands)]
    for one in both:
        one.start()
    until(lambda: {one.state for one in hands.all()} == {"delivered"})
    for one in both:
        one.stop()
    assert sorted(one.id for one in receiver.heard) == sorted(made)


def test_what_does_not_end_with_the_courier_is_left_to_the_next_one(
    hands: WebhookHands, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.queue.courier.STOP_S", 0.1)
    over = threading.Event()
    receiver.answers = [lambda: over.wait(30), 200]
    message = pinged(hands, receiver.url)
    first = courier(hands, Outbound(private=True, limits=OutboundLimits(all_s=60, idle_s=60)))
    first.start()
    receiver.hears(1)
    first.stop()
    assert hands.get(message.id).state == "pending"
    hands.store.clock.move(60)
    assert courier(hands).send_one()
    assert hands.get(message.id).state == "delivered"
    over.set()
    assert {one.id for one in receiver.heard} == {message.id}
