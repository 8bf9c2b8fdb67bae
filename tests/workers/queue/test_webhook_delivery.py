"""Webhooks over real processes: sent, tried again after five seconds, and sent again with the same id by the next beat
when the one that sent was killed before it could write that down."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.workers.job_service import JobService
from tests.workers.receiver import Receiver, receiving
from workers.store.announcements import DEFAULT_EVENTS
from workers.store.tables import DeliveryRow
from workers.store.webhook import Delivery
from workers.store.webhooks import Webhooks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[JobService]:
    made = JobService(tmp_path / "home", outbound_private=True)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def canceled(service: JobService) -> str:
    """A job that ends without a worker; its id."""
    job = service.store.jobs.create(service.owner, "article", {"instruction": "x"})
    service.store.jobs.cancel(job.id, service.owner)
    return job.id


def only(service: JobService) -> Delivery:
    (line,) = service.store.deliveries.list(service.owner, 10)
    return service.store.deliveries.get(line.id, service.owner)


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_job_that_ends_is_told_and_told_again_until_it_is_taken(service: JobService, receiver: Receiver) -> None:
    receiver.answers = [500, 200]
    webhooks = Webhooks(service.store.database)
    webhook, secret = webhooks.create(service.owner, receiver.url, DEFAULT_EVENTS)
    job_id = canceled(service)
    service.begin("beat")
    first, second = receiver.hears(2, 60)
    assert first.id == second.id
    for heard in (first, second):
        message = heard.message(secret)
        assert (message.type, message.data["id"], message.data["state"]) == ("job.canceled", job_id, "canceled")
    service.wait_for(lambda: only(service).state == "delivered")
    tried, taken = only(service).attempts
    assert (tried.status, taken.status) == (500, 200)
    assert (taken.at - tried.at).total_seconds() >= 5
    assert webhooks.get(webhook.id, service.owner).disabled_at is None


def test_killed_between_sending_and_writing_it_down_it_is_sent_again_with_the_same_id(
    service: JobService, receiver: Receiver
) -> None:
    Webhooks(service.store.database).create(service.owner, receiver.url, DEFAULT_EVENTS)
    beat = service.begin("beat")
    # It has the message, and the sender never learns so.
    receiver.answers = [lambda: kill(beat), 200]
    canceled(service)
    receiver.hears(1, 60)
    service.wait_for(lambda: beat.poll() is not None)
    after = only(service)
    assert (after.state, after.attempts) == ("pending", ())
    service.begin("beat")
    with pytest.raises(AssertionError, match="heard 1 of 2"):
        receiver.hears(2, 4)  # the one that was killed might still be at it
    with service.store.database.transaction() as session:
        session.execute(update(DeliveryRow).values(claimed_until=datetime.now(UTC)))  # its time is over
    first, second = receiver.hears(2, 60)
    assert (first.id, first.body) == (second.id, second.body)
    service.wait_for(lambda: only(service).state == "delivered")
    assert len(only(service).attempts) == 1


def test_beat_goes_on_while_a_receiver_hangs_and_ends_when_it_is_told(service: JobService, receiver: Receiver) -> None:
    with receiving() as quick:
        webhooks = Webhooks(service.store.database)
        beat = service.begin("beat")
        receiver.answers = [lambda: beat.wait(60)]
        webhooks.create(service.owner, receiver.url, DEFAULT_EVENTS)
        for _ in range(3):
            canceled(service)
        receiver.hears(2, 60)
        webhooks.create(service.owner, quick.url, DEFAULT_EVENTS)
        canceled(service)
        quick.hears(1)
        # Upkeep is not held up: it sends the message of a job.
        job = service.store.jobs.create(service.owner, "article", {"instruction": "x"})
        service.wait_for(lambda: service.store.jobs.get(job.id, service.owner).dispatched_at is not None)
        beat.terminate()
        assert beat.wait(40) == 0
