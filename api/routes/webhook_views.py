"""Webhook views: webhooks and their messages as the service tells them; and what it is told."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from interleaf.schema.word import Line
from workers.store.announcements import DEFAULT_EVENTS, WebhookEvent
from workers.store.webhook import Delivery, DeliveryState, Webhook, WebhookSecret
from workers.store.webhooks import MAX_DESCRIPTION_CHARS, MAX_URL_CHARS

__all__ = [
    "AttemptView",
    "DeliveryLine",
    "DeliveryView",
    "NewSecret",
    "NewWebhook",
    "WebhookBody",
    "WebhookChange",
    "WebhookView",
]

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARS)]
Events = Annotated[list[WebhookEvent], Field(min_length=1, max_length=20)]
Description = Annotated[Line, Field(max_length=MAX_DESCRIPTION_CHARS)]

_URL: Final = "Where messages are posted to: https, on a port for the web, in the internet, without redirects"
_EVENTS: Final = "What it is told of"
_DESCRIPTION: Final = "A label for people"


class WebhookBody(BaseModel):
    """A webhook to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"url": "https://hooks.example.org/interleaf", "events": ["job.succeeded", "job.failed"]}]
        },
    )

    url: Url = Field(description=_URL)
    events: Events = Field(
        list(DEFAULT_EVENTS), description=f"{_EVENTS}: how jobs and batches end, and that jobs wait, if not said"
    )
    description: Description = Field("", description=_DESCRIPTION)


class WebhookChange(BaseModel):
    """What is to be other than it was; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"enabled": False}]})

    # The defaults stand for what was left out, and are never looked at.
    url: Url = Field("-", description=_URL)
    events: Events = Field(list(DEFAULT_EVENTS), description=_EVENTS)
    description: Description = Field("", description=_DESCRIPTION)
    enabled: bool = Field(True, description="false: nothing is sent, and what waits to be sent counts as failed")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("nothing is to be changed; name a field")
        return self

    def changes(self) -> dict[str, Any]:
        """What was said, as the store takes it."""
        return {name: getattr(self, name) for name in sorted(self.model_fields_set)}


class SecretView(BaseModel):
    """A secret, without itself."""

    id: str
    created_at: datetime

    @classmethod
    def of(cls, secret: WebhookSecret) -> SecretView:
        return SecretView(id=secret.id, created_at=secret.created_at)


class NewSecret(SecretView):
    """A secret that was just made."""

    secret: str = Field(description="Told this once")


class WebhookView(BaseModel):
    """A webhook. Times are UTC."""

    id: str
    url: str
    events: list[str]
    description: str
    secrets: list[SecretView] = Field(description="The newest first; messages are signed with all of them")
    created_at: datetime
    disabled_at: datetime | None = Field(description="Since when nothing is sent; null when it is on")
    disabled_why: str = Field(description="Empty when it is on")

    @classmethod
    def of(cls, webhook: Webhook) -> WebhookView:
        return WebhookView(**_told(webhook))


class NewWebhook(WebhookView):
    """A webhook that was just made."""

    secret: str = Field(description="With which messages are signed; told this once")

    @classmethod
    def new(cls, webhook: Webhook, secret: str) -> NewWebhook:
        return NewWebhook(**_told(webhook), secret=secret)


class AttemptView(BaseModel):
    """One attempt to deliver a message."""

    number: int
    at: datetime
    seconds: float
    status: int | None = Field(description="What the receiver answered; null when it did not")
    error: str = Field(description="Why it failed; empty when it did not")


class DeliveryLine(BaseModel):
    """A message for a webhook, in a list. Times are UTC."""

    id: str = Field(description="The header webhook-id of every attempt")
    webhook_id: str
    event: str
    state: DeliveryState = Field(description="pending, delivered (answered with 2xx) or failed (given up)")
    attempt_count: int = Field(description="Since it was made, or replayed")
    next_at: datetime | None = Field(description="When it is tried next; null: not any more")
    created_at: datetime

    @classmethod
    def line_of(cls, delivery: Delivery) -> DeliveryLine:
        return DeliveryLine(**{name: getattr(delivery, name) for name in DeliveryLine.model_fields})


class DeliveryView(DeliveryLine):
    """A message with what it says and what became of it."""

    message: dict[str, Any] = Field(description="The body: type, timestamp, data")
    attempts: list[AttemptView] = Field(description="The last 50, the newest last")

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryView:
        return DeliveryView(
            **DeliveryLine.line_of(delivery).model_dump(),
            message=json.loads(delivery.body),
            attempts=[
                AttemptView(**{name: getattr(one, name) for name in AttemptView.model_fields})
                for one in delivery.attempts
            ],
        )


def _told(webhook: Webhook) -> dict[str, Any]:
    told = {name: getattr(webhook, name) for name in WebhookView.model_fields}
    return told | {"events": list(webhook.events), "secrets": [SecretView.of(one) for one in webhook.secrets]}
