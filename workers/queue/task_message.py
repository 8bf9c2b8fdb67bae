"""Task message: what Celery would send for a task with one argument, made once by Celery and filled in for each.

Celery puts every message together anew and sends it by itself: 0.5 ms of processor time each, which was a fifth of what
an order costs the API. Many of these go to the broker in one command.
"""

from __future__ import annotations

import base64
import json
import threading
import uuid
from typing import Any, Final, Self

from celery import Celery
from kombu.connection import Connection

__all__ = ["TaskMessage"]

# Letters only: neither JSON nor Python's repr writes them otherwise.
_ARGUMENT: Final = "ArgumentGoesHere"
_TASK_ID: Final = "TaskIdGoesHere"
_BODY: Final = "BodyGoesHere"
_TAG: Final = "DeliveryTagGoesHere"
# Kombu's queues in memory are those of the whole process.
_making: Final = threading.Lock()


class TaskMessage:
    """Messages for one task on one queue, in the form in which a list of Redis holds them."""

    def __init__(self, body: str, envelope: str) -> None:
        self._body, self._envelope = body, envelope

    @classmethod
    def of(cls, app: Celery, task: str, queue: str) -> Self:
        """Has Celery send one, to a broker in memory."""
        with _making, Connection("memory://") as connection:
            channel: Any = connection.channel()
            producer = app.amqp.Producer(channel)
            app.send_task(task, args=[_ARGUMENT], task_id=_TASK_ID, queue=queue, retry=False, producer=producer)
            message: dict[str, Any] = channel._get(queue)  # as it came: its consumers would read it
        properties = message["properties"]
        assert message["headers"]["task"] == task, message
        assert properties["body_encoding"] == "base64", properties
        body = base64.b64decode(message["body"]).decode()
        message["body"], properties["delivery_tag"] = _BODY, _TAG
        envelope = json.dumps(message)
        for place, count, text in ((_ARGUMENT, 1, body), (_BODY, 1, envelope), (_TAG, 1, envelope)):
            assert text.count(place) == count, (place, text)
        return cls(body, envelope)

    def filled(self, argument: str) -> str:
        """The message with this argument (an id of ours: letters, digits and underscores), under ids of its own."""
        assert argument.isascii() and argument.replace("_", "").isalnum(), argument
        body = base64.b64encode(self._body.replace(_ARGUMENT, argument).encode()).decode()
        return (
            self._envelope.replace(_BODY, body)
            .replace(_TASK_ID, str(uuid.uuid4()))
            .replace(_TAG, str(uuid.uuid4()))
            .replace(_ARGUMENT, argument)
        )
