"""Webhook hands: a webhook's owner and whoever sends, over one job store, for tests."""

from __future__ import annotations

import json
from typing import Any

from tests.workers.job_store import Store
from workers.store.announcements import DEFAULT_EVENTS
from workers.store.deliveries import ClaimedDelivery, Deliveries, Outcome
from workers.store.webhook import Delivery, Webhook
from workers.store.webhooks import Webhooks

URL = "https://hooks.example.org/in/7"
SEND_S = 60.0


class WebhookHands:
    """No pause is longer than the schedule says: `chance` is 0."""

    def __init__(self, store: Store, chance: float = 0.0) -> None:
        self.store = store
        self.webhooks = Webhooks(store.database, clock=store.clock)
        self.deliveries = Deliveries(store.database, clock=store.clock, chance=lambda: chance)

    def create(self, *events: str, url: str = URL) -> Webhook:
        return self.webhooks.create(self.store.owner, url, events or DEFAULT_EVENTS)[0]

    def all(self, **filters: Any) -> list[Delivery]:
        """The messages, the oldest first."""
        return list(reversed(self.deliveries.list(self.store.owner, 100, **filters)))

    def told(self, **filters: Any) -> list[dict[str, Any]]:
        """What the messages say, the oldest first."""
        return [json.loads(one.body) for one in self.all(**filters)]

    def get(self, message_id: str) -> Delivery:
        return self.deliveries.get(message_id, self.store.owner)

    def claim(self, **said: Any) -> ClaimedDelivery:
        claimed = self.deliveries.claim(SEND_S, **said)
        assert claimed is not None
        return claimed

    def nothing_due(self) -> bool:
        return self.deliveries.claim(SEND_S) is None

    def answered(
        self, claimed: ClaimedDelivery, status: int | None, error: str = "", *, retry_after_s: float | None = None
    ) -> bool:
        """Record an attempt with that answer."""
        taken = status is not None and status // 100 == 2
        why = error or ("" if taken else f"answered {status}." if status else "did not answer.")
        return self.deliveries.record(claimed, Outcome(self.store.clock(), 0.25, status, why, retry_after_s))
