"""Listening: a receiver of webhooks, which is not always in the mood; it hears of every end at least once."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import ExitStack, suppress

from interleaf import Client
from interleaf.errors import SignatureRefused
from interleaf.service.service_records import JobRecord
from interleaf.webhooks import WebhookMessage
from tests.chaos.audit import Audit
from tests.chaos.service import ChaosService
from tests.chaos.verdict import Verdict
from tests.workers.receiver import Heard, Receiver, receiving
from workers.store.announcements import DEFAULT_EVENTS
from workers.store.job_transitions import FINAL

__all__ = ["Listening"]


class _Moody(Receiver):
    """Refuses the first attempt of every fifth message."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.secret = ""
        self.messages: list[WebhookMessage] = []
        """All that were rightly signed when they came, those that were refused, too."""
        self.forged: list[str] = []
        self._lock = threading.Lock()
        self._known: set[str] = set()

    def take(self, heard: Heard) -> int:
        status = super().take(heard)
        with self._lock:
            try:
                self.messages.append(heard.message(self.secret))
            except SignatureRefused as error:
                self.forged.append(f"{heard.id}: {error}")
            new = heard.id not in self._known
            self._known.add(heard.id)
            return 503 if new and len(self._known) % 5 == 0 else status


class Listening:
    """`with Listening(service) as listening:` makes a webhook and hears until it is left."""

    def __init__(self, service: ChaosService) -> None:
        self._service = service
        self._stack = ExitStack()

    def __enter__(self) -> Listening:
        self._receiver = self._stack.enter_context(receiving(_Moody))
        with self._service.client() as client:
            self._webhook = client.webhooks.create(self._receiver.url, DEFAULT_EVENTS)
        self._receiver.secret = self._webhook.secret
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tell(self, verdict: Verdict, audit: Audit, ends: set[tuple[str, str]], timeout_s: float) -> None:
        """Everything that the audit saw end, and `ends` beside it, was told, under one id, and signed. Waits for what
        is on its way still."""
        ends = ends | {
            (f"job.{job.state}", job.id) for job in audit.jobs.values() if job.state in FINAL and self._hears(job)
        }
        with suppress(AssertionError):
            self._service.wait_for(lambda: ends <= set(self._by_event()), "every end was told", timeout_s)
        told, heard = self._by_event(), [message.id for message in self._receiver.messages]
        verdict.tell("messages heard, of which again", f"{len(heard)}, {len(heard) - len(set(heard))}")
        verdict.none("ends that nobody told", sorted(f"{event} {job_id}" for event, job_id in ends - set(told)))
        verdict.none("told under two ids", [f"{event} {of}" for (event, of), ids in told.items() if len(ids) > 1])
        finals = {(event, of) for event, of in told if event.removeprefix("job.") in FINAL or event == "batch.ended"}
        verdict.none("told and not so", sorted(f"{event} {job_id}" for event, job_id in finals - ends))
        verdict.none("messages not signed as they must be", self._receiver.forged)
        with self._service.client() as client:
            with suppress(AssertionError):
                self._service.wait_for(lambda: not self._on_their_way(client), "everything is delivered", timeout_s)
            verdict.none("messages that polling does not call delivered", self._on_their_way(client))
            listed = {one.id for one in client.webhook_deliveries.each(webhook=self._webhook)}
        verdict.none("messages that polling does not list", sorted(set(heard) - listed))

    def _hears(self, job: JobRecord) -> bool:
        return job.finished_at is not None and job.finished_at > self._webhook.created_at

    def _on_their_way(self, client: Client) -> list[str]:
        deliveries = client.webhook_deliveries.each(webhook=self._webhook)
        return [f"{one.id}: {one.state}" for one in deliveries if one.state != "delivered"]

    def _by_event(self) -> dict[tuple[str, str], set[str]]:
        """By event and object the ids of the messages that told of it."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for message in list(self._receiver.messages):
            found[message.type, str(message.data["id"])].add(message.id)
        return found
