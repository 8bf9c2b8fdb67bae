"""Our messages are Celery's own, but for the ids."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from workers.queue.celery_app import COMPOSE, COMPOSE_TASK, INGEST_TASK, LIBRARY, MODEL_EDIT_TASK, make_app
from workers.queue.redis_server import RedisServer
from workers.queue.task_message import TaskMessage
from workers.settings import Settings

JOB_ID = "job_01m8g4zfzt5t66wfx6j3bc8kms"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture
def app(server: RedisServer, tmp_path: Path) -> Celery:
    return make_app(Settings(home=tmp_path, redis_url=server.url))


def opened(text: str | bytes) -> tuple[dict[str, Any], list[Any], set[str]]:
    """A message without its ids, what is in its body, and the ids."""
    message = json.loads(text)
    ids = {message["headers"].pop(name) for name in ("id", "root_id")}
    ids |= {message["properties"].pop(name) for name in ("correlation_id", "delivery_tag")}
    return message, json.loads(base64.b64decode(message.pop("body"))), ids


@pytest.mark.parametrize(("task", "queue"), [(COMPOSE_TASK, COMPOSE), (INGEST_TASK, LIBRARY)])
def test_it_is_what_celery_sends(app: Celery, server: RedisServer, task: str, queue: str) -> None:
    app.send_task(task, args=[JOB_ID], queue=queue, retry=False)
    client = redis.Redis(unix_socket_path=str(server.socket_path))
    sent = client.rpop(queue)
    assert isinstance(sent, bytes)
    theirs, their_body, their_ids = opened(sent)
    ours, our_body, our_ids = opened(TaskMessage.of(app, task, queue).filled(JOB_ID))
    assert (ours, our_body) == (theirs, their_body)
    assert our_body[0] == [JOB_ID]
    assert len(our_ids) == len(their_ids) == 2
    assert {str(uuid.UUID(one)) for one in our_ids} == our_ids


def test_every_message_has_ids_of_its_own(app: Celery) -> None:
    message = TaskMessage.of(app, COMPOSE_TASK, COMPOSE)
    ids = [opened(message.filled(JOB_ID))[2] for _ in range(100)]
    assert len(set().union(*ids)) == 200


def test_threads_that_make_some_at_once_get_their_own(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kombu's memory is one for the whole process: both messages would lie in it before one of them is taken."""
    meeting = threading.Barrier(2)
    send = app.send_task

    def sent(*given: Any, **said: Any) -> Any:
        result = send(*given, **said)
        with suppress(threading.BrokenBarrierError):
            meeting.wait(0.2)
        return result

    monkeypatch.setattr(app, "send_task", sent)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(4):
            meeting.reset()
            made = pool.map(lambda task: TaskMessage.of(app, task, COMPOSE), (COMPOSE_TASK, MODEL_EDIT_TASK))
            tasks = [opened(message.filled(JOB_ID))[0]["headers"]["task"] for message in made]
            assert tasks == [COMPOSE_TASK, MODEL_EDIT_TASK]


@pytest.mark.parametrize("argument", ["", 'a"b', "a\\b", "a'b", "ä", "a b", "BodyGoesHere-"])
def test_nothing_but_ids_is_filled_in(app: Celery, argument: str) -> None:
    with pytest.raises(AssertionError):
        TaskMessage.of(app, COMPOSE_TASK, COMPOSE).filled(argument)


def test_making_one_sends_nothing_to_the_broker(app: Celery, server: RedisServer) -> None:
    client = redis.Redis(unix_socket_path=str(server.socket_path))
    before = client.dbsize()
    TaskMessage.of(app, COMPOSE_TASK, COMPOSE)
    TaskMessage.of(app, COMPOSE_TASK, COMPOSE)
    assert client.dbsize() == before
