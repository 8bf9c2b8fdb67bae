"""Webhook calls: every operation on webhooks and their messages as a value: what is sent, how the answer is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interleaf.errors import InterleafError, ObjectUnknown
from interleaf.service.call import Call, Settled, ask, reads
from interleaf.service.calls import as_json, nothing, object_path, pairs
from interleaf.service.retrying import Retrying
from interleaf.service.service_records import (
    NewWebhook,
    NewWebhookSecret,
    Page,
    WebhookDelivery,
    WebhookDeliveryLine,
    WebhookRecord,
)
from interleaf.service.steps import Sending, Steps

__all__ = [
    "add_secret",
    "change_webhook",
    "create_webhook",
    "delete_webhook",
    "get_delivery",
    "get_webhook",
    "list_deliveries",
    "list_webhooks",
    "ping_webhook",
    "remove_secret",
    "replay_delivery",
]

PLACE = "/v1/webhooks/"
SENT = "/v1/webhook-deliveries/"


def create_webhook(url: str, events: Sequence[str] | None = None, description: str = "") -> Call[NewWebhook]:
    said: dict[str, Any] = {"url": url}
    if events is not None:
        said["events"] = list(events)
    if description:
        said["description"] = description
    # The service keeps no answer that holds a secret, so this one must not be sent twice.
    return Call(Sending("POST", "/v1/webhooks", body=as_json("webhook", said)), reads(NewWebhook), "twice")


def list_webhooks(*, limit: int | None = None, after: str | None = None) -> Call[Page[WebhookRecord]]:
    return Call(Sending("GET", "/v1/webhooks", pairs(limit=limit, after=after)), reads(Page[WebhookRecord]))


def get_webhook(webhook_id: str) -> Call[WebhookRecord]:
    return Call(Sending("GET", object_path(PLACE, webhook_id)), reads(WebhookRecord))


def change_webhook(webhook_id: str, changes: Mapping[str, Any]) -> Call[WebhookRecord]:
    sending = Sending("PATCH", object_path(PLACE, webhook_id), body=as_json("webhook", dict(changes)))
    return Call(sending, reads(WebhookRecord))


def delete_webhook(webhook_id: str) -> Call[None]:
    return Call(Sending("DELETE", object_path(PLACE, webhook_id)), nothing, settle=_gone)


def add_secret(webhook_id: str) -> Call[NewWebhookSecret]:
    return Call(Sending("POST", object_path(PLACE, webhook_id) + "/secrets"), reads(NewWebhookSecret), "twice")


def remove_secret(webhook_id: str, secret_id: str, retrying: Retrying) -> Call[WebhookRecord]:
    """`retrying` is for the look at the webhook when the answer was lost."""

    def settle(error: InterleafError) -> Steps[Settled[WebhookRecord] | None]:
        if not isinstance(error, ObjectUnknown):
            return None
        return Settled((yield from ask(get_webhook(webhook_id), retrying)))

    path = object_path(object_path(PLACE, webhook_id) + "/secrets/", secret_id)
    return Call(Sending("DELETE", path), reads(WebhookRecord), settle=settle)


def ping_webhook(webhook_id: str) -> Call[WebhookDelivery]:
    return Call(Sending("POST", object_path(PLACE, webhook_id) + "/test"), reads(WebhookDelivery), "twice")


def list_deliveries(
    *,
    limit: int | None = None,
    after: str | None = None,
    before: str | None = None,
    webhook_id: str | None = None,
    state: str | None = None,
) -> Call[Page[WebhookDeliveryLine]]:
    query = pairs(limit=limit, after=after, before=before, webhook_id=webhook_id, state=state)
    return Call(Sending("GET", "/v1/webhook-deliveries", query), reads(Page[WebhookDeliveryLine]))


def get_delivery(message_id: str) -> Call[WebhookDelivery]:
    return Call(Sending("GET", object_path(SENT, message_id)), reads(WebhookDelivery))


def replay_delivery(message_id: str) -> Call[WebhookDelivery]:
    # A receiver takes a message of one id once, however often it is sent.
    return Call(Sending("POST", object_path(SENT, message_id) + "/replay"), reads(WebhookDelivery))


def _gone(error: InterleafError) -> Steps[Settled[None] | None]:
    """That it is not there is what was asked for."""
    yield from ()
    return Settled(None) if isinstance(error, ObjectUnknown) else None
