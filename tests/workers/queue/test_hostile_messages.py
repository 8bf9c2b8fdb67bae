"""Hostile messages in a real Redis, to a real worker: what would build an object is refused, runs nothing, does not go
round, and the job behind it is done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu.serialization import loads, registry

from tests.workers.job_service import JobService
from workers.queue.celery_app import COMPOSE, COMPOSE_TASK, make_app


class Touches:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[JobService]:
    made = JobService(tmp_path / "home")
    made.start()
    yield made
    made.stop()


def send(service: JobService, body: Any, task: str = COMPOSE_TASK, **said: Any) -> None:
    """A message as Celery forms it, straight into the broker."""
    headers = {"lang": "py", "task": task, "id": "t-1", "root_id": "t-1", "argsrepr": "()", "kwargsrepr": "{}"}
    app = make_app(service.settings)
    with app.connection_for_write() as connection:
        queue = app.amqp.queues[COMPOSE]
        connection.Producer().publish(
            body, exchange=queue.exchange, routing_key=COMPOSE, declare=[queue], headers=headers, **said
        )


def test_a_pickled_message_is_refused_by_a_real_worker_and_does_not_run(service: JobService, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    # It would: this is what unpickling it does.
    content_type, encoding, packed = registry.dumps([[Touches(mark)], {}, {}], "pickle")
    loads(packed, content_type, encoding, force=True, accept={content_type})
    assert mark.exists()
    mark.unlink()

    for _ in range(3):
        send(service, [[Touches(mark)], {}, {}], serializer="pickle")
    send(service, f"!!python/object/apply:os.system ['touch {mark}']", content_type="application/x-yaml")
    send(service, b"\x80\x04N.", content_type="application/octet-stream", content_encoding="binary")
    send(service, '[["job_1"], {', content_type="application/json", content_encoding="utf-8")
    with redis.Redis(unix_socket_path=str(service.redis.socket_path)) as broker:
        assert broker.llen(COMPOSE) == 6
        service.begin("compose")
        job = service.submit()
        service.wait(job, until=lambda now: now.state not in ("queued",))
        service.wait_for(lambda: broker.llen(COMPOSE) == 0)
        service.begin("render")
        assert service.wait(job).state == "succeeded"
        service.wait_for(lambda: broker.hlen("unacked") == 0)
    assert not mark.exists()
    [log] = service.home.glob("compose-*.log")
    assert log.read_text().count("Refusing to deserialize") >= 3


def test_a_message_whose_task_is_not_ours_or_whose_ids_are_nonsense_harms_nothing(service: JobService) -> None:
    with redis.Redis(unix_socket_path=str(service.redis.socket_path)) as broker:
        send(service, [["../../etc/passwd"], {}, {}], serializer="json")
        send(service, [[{"a": 1}], {}, {}], serializer="json")
        send(service, [["job_1", "too", "many"], {"x": 1}, {}], serializer="json")
        send(service, [["touch x"], {}, {}], "os.system", serializer="json")
        service.begin("compose")
        service.begin("render")
        assert service.wait(service.submit()).state == "succeeded"
        service.wait_for(lambda: broker.llen(COMPOSE) == 0 and broker.hlen("unacked") == 0)


def test_our_own_messages_hold_an_id_and_nothing_else(service: JobService) -> None:
    job = service.submit()
    with redis.Redis(unix_socket_path=str(service.redis.socket_path)) as broker:
        [raw] = broker.lrange(COMPOSE, 0, -1)
    message = json.loads(raw)
    assert message["content-type"] == "application/json"
    assert job.id in raw.decode()
    assert "tides" not in raw.decode()
