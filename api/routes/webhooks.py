"""Webhooks: addresses that are told of events: made, changed, tried out, their secrets replaced."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Response

from api.door import Door, Reader, TheDoor, Writer
from api.openapi import NO_CONTENT, problems
from api.paging import LINKS, Page, Position, listed, page_of, positions
from api.reply import reply
from api.routes.webhook_views import DeliveryView, NewSecret, NewWebhook, WebhookBody, WebhookChange, WebhookView
from api.strict_json import StrictRoute
from interleaf.errors import InvalidRequest, TargetAway, TargetRefused

__all__ = ["router"]

PATH: Final = "/v1/webhooks"
LOCATION: Final[dict[str, Any]] = {"Location": {"schema": {"type": "string"}, "description": "The webhook"}}

router = APIRouter(prefix=PATH, tags=["webhooks"], route_class=StrictRoute)


@router.post(
    "",
    status_code=201,
    response_model=NewWebhook,
    operation_id="createWebhook",
    summary="Make a webhook",
    responses={201: {"headers": LOCATION}},
)
async def create_webhook(door: TheDoor, key: Writer, body: Annotated[WebhookBody, Body()]) -> Response:
    """From now on the address is told of the key's events (Standard Webhooks 1.0; the messages are under `webhooks` in
    this description). An Idempotency-Key is not taken here: the answer would have to be kept, and it holds the
    secret."""

    def make() -> Response:
        _require_target(door, body.url)
        webhook, secret = door.webhooks.create(key.id, body.url, body.events, body.description)
        return reply(NewWebhook.new(webhook, secret), 201, {"Location": f"{PATH}/{webhook.id}"})

    return await door.threads.run(make)


@router.get(
    "",
    response_model=Page[WebhookView],
    operation_id="listWebhooks",
    summary="List webhooks, newest first",
    responses={200: {"headers": LINKS}},
)
async def list_webhooks(door: TheDoor, key: Reader, at: Annotated[Position, positions("whk")]) -> Response:
    """Those of the key."""

    def read() -> Page[WebhookView]:
        return page_of(
            lambda limit, after, before: door.webhooks.list(key.id, limit, after, before), at, WebhookView.of
        )

    return listed(await door.threads.run(read), at)


@router.get("/{webhook_id}", response_model=WebhookView, operation_id="getWebhook", summary="Look at a webhook")
async def get_webhook(webhook_id: str, door: TheDoor, key: Reader) -> Response:
    """Without its secrets."""
    return reply(WebhookView.of(await door.threads.run(door.webhooks.get, webhook_id, key.id)))


@router.patch("/{webhook_id}", response_model=WebhookView, operation_id="changeWebhook", summary="Change a webhook")
async def change_webhook(
    webhook_id: str, door: TheDoor, key: Writer, body: Annotated[WebhookChange, Body()]
) -> Response:
    """Replaces the fields that are said; `enabled` switches it off and on. What waits to be sent goes to the new
    address."""
    changes = body.changes()

    def change() -> WebhookView:
        if "url" in changes:
            _require_target(door, body.url)
        return WebhookView.of(door.webhooks.change(webhook_id, key.id, changes))

    return reply(await door.threads.run(change))


@router.delete(
    "/{webhook_id}", status_code=204, operation_id="deleteWebhook", summary="Delete a webhook", responses=NO_CONTENT
)
async def delete_webhook(webhook_id: str, door: TheDoor, key: Writer) -> Response:
    """With its messages; those that wait are not sent any more."""
    await door.threads.run(door.webhooks.delete, webhook_id, key.id)
    return Response(status_code=204)


@router.post(
    "/{webhook_id}/secrets",
    status_code=201,
    response_model=NewSecret,
    operation_id="createWebhookSecret",
    summary="Add a secret to a webhook",
)
async def create_secret(webhook_id: str, door: TheDoor, key: Writer) -> Response:
    """To replace one: messages are signed with all of them, so the receiver takes the new one in its own time; then the
    old one is deleted. A webhook has at most five."""
    secret, written = await door.threads.run(door.webhooks.add_secret, webhook_id, key.id)
    return reply(NewSecret(id=secret.id, created_at=secret.created_at, secret=written), 201)


@router.delete(
    "/{webhook_id}/secrets/{secret_id}",
    response_model=WebhookView,
    operation_id="deleteWebhookSecret",
    summary="Delete a secret of a webhook",
)
async def delete_secret(webhook_id: str, secret_id: str, door: TheDoor, key: Writer) -> Response:
    """Messages are not signed with it any more. The only one stays."""
    return reply(WebhookView.of(await door.threads.run(door.webhooks.remove_secret, webhook_id, key.id, secret_id)))


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    response_model=DeliveryView,
    operation_id="testWebhook",
    summary="Send a webhook a message",
    responses=problems(429),
)
async def test_webhook(webhook_id: str, door: TheDoor, key: Writer) -> Response:
    """A `ping`, signed and tried again like any other message; GET of the delivery says what became of it."""
    return reply(DeliveryView.of(await door.threads.run(door.webhooks.ping, webhook_id, key.id)), 202)


def _require_target(door: Door, url: str) -> None:
    """Whether a message might go there today. InvalidRequest. It is looked at anew with each message."""
    try:
        door.outbound.check(url)
    except (TargetRefused, TargetAway) as error:
        said = error.problem if error.thing == "url" else f"{error.thing} {error.problem}"
        raise InvalidRequest("body.url", said, error.remedy) from error
