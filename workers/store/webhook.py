"""Webhook: an address that is told of events, and what became of each telling, as its owner sees it: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from workers.store.tables import DeliveryAttemptRow, DeliveryRow, WebhookRow

__all__ = ["Delivery", "DeliveryAttempt", "DeliveryState", "Webhook", "WebhookSecret"]

DeliveryState = Literal[
    "pending",  # tried, or to be tried, until it is taken
    "delivered",  # answered with 2xx
    "failed",  # given up; it can be replayed
]


@dataclass(frozen=True)
class WebhookSecret:
    """What a secret is known by. The secret itself is told once."""

    id: str
    created_at: datetime


@dataclass(frozen=True)
class Webhook:
    """A webhook at one moment. All times are UTC."""

    id: str
    owner: str
    """Id of the key that it belongs to."""
    url: str
    events: tuple[str, ...]
    description: str
    secrets: tuple[WebhookSecret, ...]
    """The newest first; messages are signed with all of them."""
    created_at: datetime
    disabled_at: datetime | None
    """Since when nothing is sent; None: it is on."""
    disabled_why: str

    @classmethod
    def of_row(cls, row: WebhookRow) -> Webhook:
        """The value of a row."""
        return cls(
            id=row.id,
            owner=row.owner,
            url=row.url,
            events=tuple(row.events),
            description=row.description,
            secrets=tuple(_secret_of(one) for one in row.secrets),
            created_at=row.created_at,
            disabled_at=row.disabled_at,
            disabled_why=row.disabled_why,
        )


@dataclass(frozen=True)
class DeliveryAttempt:
    """One attempt to deliver a message. What the other side said is not kept."""

    number: int
    at: datetime
    seconds: float
    status: int | None
    """What it answered; None: it did not."""
    error: str
    """Why it failed; empty when it did not."""

    @classmethod
    def of_row(cls, row: DeliveryAttemptRow) -> DeliveryAttempt:
        """The value of a row."""
        return cls(row.number, row.at, float(row.seconds), row.status, row.error)


@dataclass(frozen=True)
class Delivery:
    """A message for one webhook. All times are UTC."""

    id: str
    """The header webhook-id of every attempt."""
    webhook_id: str
    event: str
    state: DeliveryState
    attempt_count: int
    """Since it was made, or replayed."""
    next_at: datetime | None
    """When it is tried next; None: not any more."""
    created_at: datetime
    body: bytes
    """As it is sent."""
    attempts: tuple[DeliveryAttempt, ...] = ()
    """The newest last; empty in a list."""

    @classmethod
    def of_row(cls, row: DeliveryRow, attempts: tuple[DeliveryAttempt, ...] = ()) -> Delivery:
        """The value of a row."""
        return cls(
            id=row.id,
            webhook_id=row.webhook_id,
            event=row.event,
            state=cast("DeliveryState", row.state),
            attempt_count=row.attempt_count,
            next_at=row.next_at,
            created_at=row.created_at,
            body=bytes(row.body),
            attempts=attempts,
        )


def _secret_of(kept: dict[str, Any]) -> WebhookSecret:
    return WebhookSecret(kept["id"], datetime.fromisoformat(kept["created_at"]))
