"""Dispatch: sends the messages; what cannot be sent now stays in the outbox and is sent later."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import redis
from celery import Celery
from kombu.exceptions import KombuError

from interleaf.errors import ServiceAway
from workers.queue.celery_app import (
    COMPOSE,
    COMPOSE_TASK,
    EDIT_TASK,
    FILES_TASK,
    INGEST_TASK,
    LIBRARY,
    MODEL_EDIT_TASK,
    RENDER,
    RENDER_TASK,
    REQUEST_TASK,
    SEARCH,
    SWEEP_TASK,
)
from workers.queue.task_message import TaskMessage
from workers.store.edit_order import EDIT, EXTRACTIVE, edits_by_excerpts, edits_by_model
from workers.store.edit_order import RENDER as RENDER_KIND
from workers.store.ids import is_id
from workers.store.ingest_order import INGEST
from workers.store.job import Claim, Job
from workers.store.job_store import JobStore
from workers.store.outbox import of_kinds

__all__ = ["Dispatcher"]

log = logging.getLogger(__name__)

_EPOCH_KEY: Final = "interleaf.epoch"
_ROUND: Final = 100
_MAX_ROUNDS: Final = 100


class Dispatcher:
    """Sends messages for jobs. Every method may raise ServiceAway: the broker (or the database) is away."""

    def __init__(self, app: Celery, store: JobStore) -> None:
        self._app = app
        self._store = store
        self._epoch: str | None = None
        self._messages: dict[tuple[str, str], TaskMessage] = {}

    def deliver(self, named: str) -> bool:
        """Send the message of what was just written down, by its id: a job that was created or answered, a library
        that was deleted, a request to the library worker; whether it needed one. Not inside a transaction.

        ServiceAway: jobs and deletions are accepted all the same, and the next round sends them; whoever made a request
        must be told."""
        if is_id("lrq", named):
            self._send(REQUEST_TASK, SEARCH, named)
            return True
        if is_id("lib", named):
            return self._send_sweeps(library_id=named) == 1
        return self._store.outbox.deliver(self._send_jobs, job_id=named) == 1

    def send_new(self, jobs: Sequence[Job]) -> None:
        """Send the messages of jobs that were made by `Jobs` whose caller sends. Not inside a transaction. ServiceAway:
        what was not sent is put back, and the next round sends it."""
        self._store.outbox.send_taken(jobs, self._send_jobs)

    def send_waiting(self) -> int:
        """Send for every job that needs a message; how many. Those whose messages the broker lost are among them."""
        self._notice_loss()
        self._notice_taken()
        sent = 0
        for _ in range(_MAX_ROUNDS):
            now = self._store.outbox.deliver(self._send_jobs, _ROUND)
            sent += now
            if now < _ROUND:
                break
        self._send_sweeps()
        return sent

    def send_render(self, claim: Claim, format: str) -> None:
        """Send for one format of a finished piece."""
        with _translated():
            self._app.send_task(
                RENDER_TASK, args=[claim.job_id, claim.attempt, claim.worker, format], queue=RENDER, retry=False
            )

    def epoch(self) -> str:
        """Names the broker's memory: another one than before means that it lost what it held."""
        with _translated(), self._app.connection_or_acquire() as connection:
            client = connection.default_channel.client
            client.set(_EPOCH_KEY, secrets.token_hex(8), nx=True)
            return bytes(client.get(_EPOCH_KEY) or b"").decode()

    def is_empty(self, queue: str) -> bool:
        """Whether no message waits in that queue."""
        with _translated(), self._app.connection_or_acquire() as connection:
            return not connection.default_channel.client.llen(queue)

    def _send_jobs(self, jobs: Sequence[Job]) -> None:
        ways: dict[str, list[tuple[str, str]]] = {}
        for job in jobs:
            task, queue = self._way_of(job)
            ways.setdefault(queue, []).append((task, job.id))
        for queue, tasks in ways.items():
            self._send_all(queue, tasks)

    def _way_of(self, job: Job) -> tuple[str, str]:
        """The task and the queue of a job."""
        if job.kind == INGEST:
            return INGEST_TASK, LIBRARY
        if job.kind == RENDER_KIND:
            return FILES_TASK, RENDER
        if job.kind == EDIT and self._store.results.brief(job.id).get("writer") == EXTRACTIVE:
            return EDIT_TASK, LIBRARY  # not behind an hour of composing
        if job.kind == EDIT:
            return MODEL_EDIT_TASK, COMPOSE
        return COMPOSE_TASK, COMPOSE

    def _message(self, task: str, queue: str) -> TaskMessage:
        if (task, queue) not in self._messages:
            self._messages[task, queue] = TaskMessage.of(self._app, task, queue)
        return self._messages[task, queue]

    def _send_sweeps(self, library_id: str | None = None) -> int:
        """For deleted libraries whose pictures are still there."""
        ids = self._store.libraries.sweeps(_ROUND, library_id=library_id)
        for one in ids:
            self._send(SWEEP_TASK, LIBRARY, one)
        return len(ids)

    def _send_all(self, queue: str, tasks: Sequence[tuple[str, str]]) -> None:
        """Send for tasks, each with an id, to one queue: in one command."""
        texts = [self._message(task, queue).filled(named) for task, named in tasks]
        with _translated(), self._app.connection_or_acquire() as connection:
            connection.default_channel.client.lpush(queue, *texts)

    def _send(self, task: str, queue: str, named: str) -> None:
        with _translated():
            self._app.send_task(task, args=[named], queue=queue, retry=False)

    def _notice_loss(self) -> None:
        epoch = self.epoch()
        if self._epoch is not None and epoch != self._epoch:
            count = self._store.outbox.forget_sent(self._store.clock())
            log.warning("the broker lost its messages; %d jobs get another", count)
        self._epoch = epoch

    def _notice_taken(self) -> None:
        """A message that Redis hands to a worker in the moment of its death is gone. So where no message waits, a job
        that has waited for longer than a lease needs another; while messages wait, more would only make them more."""
        store = self._store
        before = store.clock() - timedelta(seconds=store.settings.lease_s)
        kinds_of = {
            COMPOSE: of_kinds(INGEST, RENDER_KIND, EDIT, others=True) | edits_by_model(),
            LIBRARY: of_kinds(INGEST) | edits_by_excerpts(),
            RENDER: of_kinds(RENDER_KIND),
        }
        for queue, kinds in kinds_of.items():
            if self.is_empty(queue):
                store.outbox.forget_sent(before, kinds)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (KombuError, redis.RedisError, OSError) as error:
        raise ServiceAway("queue", f"cannot be reached now ({error}).", "Jobs are sent when it is back.") from error
