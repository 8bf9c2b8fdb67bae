"""Service keys: an admin lists, makes, changes and revokes the keys of the service."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.door import KeyAdmin, TheDoor
from api.paging import LINKS, Page, Position, listed, page_of, positions
from api.reply import reply
from api.strict_json import StrictRoute
from interleaf.schema.word import Line
from workers.store.api_keys import QUOTAS, ApiKey, KeyScope, Quotas

__all__ = ["router"]

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=StrictRoute)

MOST: Final = 2**53
Name = Annotated[Line, Field(min_length=1, max_length=200)]
Quota = Annotated[int, Field(ge=0, le=MOST)]
_PER_DAY: Final = "On each day (UTC); null: as many as come"


class QuotaFields(BaseModel):
    """Quotas of a key. One that is left out, or null, is the service's own; of those for a day there is none then."""

    max_active_jobs: Quota | None = Field(None, description="Jobs that have not ended, at a time")
    max_stored_bytes: Quota | None = Field(None, description="Uploads, finished files and pictures together")
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_jobs_per_day: Quota | None = Field(None, description=f"Jobs that are taken in. {_PER_DAY}")
    max_seconds_per_day: Quota | None = Field(None, description=f"Seconds of work. {_PER_DAY}")
    max_tokens_per_day: Quota | None = Field(None, description=f"Tokens that models write. {_PER_DAY}")


class KeyOrder(QuotaFields):
    """A key to make. A quota that is left out is the service's own."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "newsroom", "scopes": ["jobs:read", "jobs:write"]},
                {"name": "students", "scopes": ["jobs:read", "jobs:write"], "max_jobs_per_day": 50},
            ]
        },
    )

    name: Name
    scopes: list[KeyScope] = Field(min_length=1, max_length=5)


class KeyChange(QuotaFields):
    """What is to be other than it was; what is left out stays. A quota of null is taken away."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"max_jobs_per_day": 200, "max_seconds_per_day": 7200}, {"name": "press"}]},
    )

    # The default stands for what was left out, and is never looked at.
    name: Name = "-"

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("nothing is to be changed; name a field")
        return self

    def changes(self) -> dict[str, Any]:
        """What was said, as the store takes it."""
        return {name: getattr(self, name) for name in sorted(self.model_fields_set)}


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
    max_jobs_per_day: int | None
    max_seconds_per_day: int | None
    max_tokens_per_day: int | None


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
        **{name: getattr(key.quotas, name) for name in QUOTAS},
    )


@router.post("", status_code=201, response_model=NewKey, operation_id="createKey", summary="Make a key")
async def create_key(door: TheDoor, key: KeyAdmin, order: Annotated[KeyOrder, Body()]) -> Response:
    """What is made with a key belongs to it. An Idempotency-Key is not taken here: the answer would have to be kept,
    and it holds the secret."""
    quotas = Quotas(**{name: getattr(order, name) for name in QUOTAS})
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


@router.patch("/{key_id}", response_model=KeyView, operation_id="changeKey", summary="Change a key")
async def change_key(key_id: str, door: TheDoor, key: KeyAdmin, body: Annotated[KeyChange, Body()]) -> Response:
    """Replaces its name or quotas, at once; in other processes of the service within a second. What it has used stays:
    a quota of a day holds for what is used since midnight (UTC), and ends no job that is at work."""
    changed = await door.threads.run(door.keys.change, key_id, body.changes())
    door.known_keys.forget()
    return reply(_view(changed))


@router.delete("/{key_id}", response_model=KeyView, operation_id="revokeKey", summary="Revoke a key")
async def revoke_key(key_id: str, door: TheDoor, key: KeyAdmin) -> Response:
    """At once and for ever; its jobs stay. When no admin key is left, the next start of the service makes one."""
    revoked = await door.threads.run(door.keys.revoke, key_id)
    door.known_keys.forget()
    return reply(_view(revoked))
