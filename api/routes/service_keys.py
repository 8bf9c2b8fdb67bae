"""Service keys: an admin lists, makes and revokes the keys of the service."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict, Field

from api.door import KeyAdmin, TheDoor
from api.paging import LINKS, Page, Position, listed, page_of, positions
from api.reply import reply
from api.strict_json import StrictRoute
from interleaf.schema.word import Line
from workers.store.api_keys import ApiKey, KeyScope, Quotas

__all__ = ["router"]

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=StrictRoute)

MOST = 2**53


class KeyOrder(BaseModel):
    """A key to make. A quota that is left out is the service's own."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "newsroom", "scopes": ["jobs:read", "jobs:write"]}]},
    )

    name: Annotated[Line, Field(min_length=1, max_length=200)]
    scopes: list[KeyScope] = Field(min_length=1, max_length=5)
    max_active_jobs: int | None = Field(None, ge=0, le=MOST)
    max_stored_bytes: int | None = Field(None, ge=0, le=MOST)
    requests_per_minute: int | None = Field(None, ge=1, le=1_000_000)


class KeyView(BaseModel):
    """A key without its secret."""

    id: str
    prefix: str = Field(description="The first characters of the secret")
    name: str
    scopes: list[KeyScope]
    created_at: datetime
    revoked_at: datetime | None
    max_active_jobs: int | None
    max_stored_bytes: int | None
    requests_per_minute: int | None


class NewKey(KeyView):
    """A key that was just made."""

    secret: str = Field(description="Told this once, and kept nowhere")


def _view(key: ApiKey) -> KeyView:
    return KeyView(
        id=key.id,
        prefix=key.prefix,
        name=key.name,
        scopes=list(key.scopes),
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        max_active_jobs=key.quotas.max_active_jobs,
        max_stored_bytes=key.quotas.max_stored_bytes,
        requests_per_minute=key.quotas.requests_per_minute,
    )


@router.post("", status_code=201, response_model=NewKey, operation_id="createKey", summary="Make a key")
async def create_key(door: TheDoor, key: KeyAdmin, order: Annotated[KeyOrder, Body()]) -> Response:
    """What is made with a key belongs to it. An Idempotency-Key is not taken here: the answer would have to be kept,
    and it holds the secret."""
    quotas = Quotas(order.max_active_jobs, order.max_stored_bytes, order.requests_per_minute)
    made, secret = await door.threads.run(door.keys.create, order.name, order.scopes, quotas)
    return reply(NewKey(**_view(made).model_dump(), secret=secret), 201)


@router.get(
    "",
    response_model=Page[KeyView],
    operation_id="listKeys",
    summary="List keys, newest first",
    responses={200: {"headers": LINKS}},
)
async def list_keys(door: TheDoor, key: KeyAdmin, at: Annotated[Position, positions("key")]) -> Response:
    """Revoked ones, too."""

    def read() -> Page[KeyView]:
        return page_of(lambda limit, after, before: door.keys.list(limit, after, before), at, _view)

    return listed(await door.threads.run(read), at)


@router.delete("/{key_id}", response_model=KeyView, operation_id="revokeKey", summary="Revoke a key")
async def revoke_key(key_id: str, door: TheDoor, key: KeyAdmin) -> Response:
    """At once and for ever; its jobs stay. When no admin key is left, the next start of the service makes one."""
    revoked = await door.threads.run(door.keys.revoke, key_id)
    door.known_keys.forget()
    return reply(_view(revoked))
