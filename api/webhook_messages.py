"""Webhook messages: what is posted to the addresses of webhooks, as the description tells it (OpenAPI 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, Field

from workers.store.announcements import EVENTS, PING
from workers.store.batch import ItemState
from workers.store.batch_ends import BATCH_ENDED
from workers.store.batch_order import BatchKind
from workers.store.job_transitions import JobState
from workers.store.publications import PUBLISHED

__all__ = ["described_messages"]


class ToldOfJob(BaseModel):
    """A job, by what GET of it says, too."""

    id: str
    kind: str
    state: JobState = Field(description="At the time of the event")
    external_id: str | None
    url: str = Field(description="A path of this service")
    document_id: str | None = Field(None, description="Of the piece, when there is one")
    request_id: str | None = Field(None, description="Of the question, when it awaits input")
    input_url: str | None = Field(None, description="Where the question is")


class ToldOfBatch(BaseModel):
    """A batch whose items have all ended, by what GET of it says, too."""

    id: str
    kind: BatchKind
    item_count: int
    counts: dict[ItemState, int] = Field(description="How many items are in each state")
    ended_at: datetime
    url: str = Field(description="A path of this service")
    results_url: str = Field(description="Where its results are, as JSON Lines")


class ToldOfDocument(BaseModel):
    """A piece that was published."""

    id: str
    published_at: datetime
    url: str = Field(description="A path of this service")


class ToldOfWebhook(BaseModel):
    """The webhook that is tried out."""

    id: str


_TOLD: Final[Mapping[str, type[BaseModel]]] = {
    PING: ToldOfWebhook,
    PUBLISHED: ToldOfDocument,
    BATCH_ENDED: ToldOfBatch,
}
_HEADERS: Final = {
    "webhook-id": "Names the message; the same at every attempt. A message may come more than once",
    "webhook-timestamp": "Seconds since 1970, of the attempt; what is older than five minutes is to be refused",
    "webhook-signature": "`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`; one for each secret, with spaces",
}


def described_messages() -> dict[str, Any]:
    """One entry for each event."""
    return {event: {"post": _message(event)} for event in (*EVENTS, PING)}


def _message(event: str) -> dict[str, Any]:
    told = _TOLD.get(event, ToldOfJob)
    body = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": event},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened"},
            "data": told.model_json_schema(),
        },
    }
    return {
        "summary": f"The event {event}",
        "description": "Signed (Standard Webhooks 1.0). Look at the signature before anything else.",
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": said, "schema": {"type": "string"}}
            for name, said in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "2XX": {"description": "Taken; it is not sent again"},
            "410": {"description": "The webhook is switched off"},
            "default": {"description": "Anything else, a redirect too: it is sent again later"},
        },
    }
