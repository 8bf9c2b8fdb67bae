"""Webhook deliveries: messages of webhooks, what became of them, and the same once more."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.door import Reader, TheDoor, Writer
from api.paging import LINKS, Page, Position, listed, page_of, positions
from api.reply import reply
from api.routes.webhook_views import DeliveryLine, DeliveryView
from api.strict_json import StrictRoute
from workers.store.ids import require_id
from workers.store.webhook import DeliveryState

__all__ = ["router"]

router = APIRouter(prefix="/v1/webhook-deliveries", tags=["webhooks"], route_class=StrictRoute)


@router.get(
    "",
    response_model=Page[DeliveryLine],
    operation_id="listWebhookDeliveries",
    summary="List messages of webhooks, newest first",
    responses={200: {"headers": LINKS}},
)
async def list_deliveries(
    door: TheDoor,
    key: Reader,
    at: Annotated[Position, positions("msg")],
    webhook_id: Annotated[str | None, Query(description="For this webhook only")] = None,
    state: Annotated[DeliveryState | None, Query(description="In this state only")] = None,
) -> Response:
    """Without what they say. They are kept for a while (INTERLEAF_WEBHOOK_DELIVERIES_KEPT_DAYS)."""
    if webhook_id is not None:
        require_id("whk", webhook_id, "webhook_id")

    def read() -> Page[DeliveryLine]:
        return page_of(
            lambda limit, after, before: door.deliveries.list(
                key.id, limit, after, before, webhook_id=webhook_id, state=state
            ),
            at,
            DeliveryLine.line_of,
        )

    return listed(await door.threads.run(read), at)


@router.get(
    "/{message_id}",
    response_model=DeliveryView,
    operation_id="getWebhookDelivery",
    summary="Look at a message of a webhook",
)
async def get_delivery(message_id: str, door: TheDoor, key: Reader) -> Response:
    """What it says, and each attempt to deliver it."""
    return reply(DeliveryView.of(await door.threads.run(door.deliveries.get, message_id, key.id)))


@router.post(
    "/{message_id}/replay",
    status_code=202,
    response_model=DeliveryView,
    operation_id="replayWebhookDelivery",
    summary="Send a message of a webhook again",
)
async def replay_delivery(message_id: str, door: TheDoor, key: Writer) -> Response:
    """With the same id and body, now, and with all the attempts of a new one; whether or not it was delivered."""
    await door.threads.run(door.deliveries.replay, message_id, key.id)
    return reply(DeliveryView.of(await door.threads.run(door.deliveries.get, message_id, key.id)), 202)
