"""Tables of webhooks: who is told of which events, and what became of each telling."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from workers.store.tables.row import Id, Json, Row

__all__ = ["DeliveryAttemptRow", "DeliveryRow", "WebhookRow"]


class WebhookRow(Row):
    """An address that is told of events."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    url: Mapped[str] = mapped_column(String(2000))
    events: Mapped[list[str]] = mapped_column(Json)
    description: Mapped[str] = mapped_column(String(400))
    secrets: Mapped[list[Any]] = mapped_column(Json)
    """The newest first, each with its id and the time of its making: signing needs them as they are."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    disabled_why: Mapped[str] = mapped_column(String(200))

    __table_args__ = (Index(None, "owner", "id"),)


class DeliveryRow(Row):
    """One event for one address. Its id is the webhook-id of every attempt."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    webhook_id: Mapped[str] = mapped_column(Id, ForeignKey("webhooks.id", ondelete="CASCADE"))
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    event: Mapped[str] = mapped_column(String(60))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """As it is sent and signed, byte for byte, at every attempt."""
    state: Mapped[str] = mapped_column(String(20))
    """pending, delivered or failed."""
    attempt_count: Mapped[int]
    next_at: Mapped[datetime | None] = mapped_column(index=True)
    """When it is tried next; None: not any more."""
    claimed_until: Mapped[datetime | None]
    created_at: Mapped[datetime]

    __table_args__ = (Index(None, "owner", "id"), Index(None, "webhook_id", "id"))


class DeliveryAttemptRow(Row):
    """What came of one attempt. What the other side said is not kept: it might be what somebody was after."""

    __tablename__ = "webhook_attempts"

    delivery_id: Mapped[str] = mapped_column(
        Id, ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    seconds: Mapped[float]
    status: Mapped[int | None]
    error: Mapped[str] = mapped_column(String(300))
