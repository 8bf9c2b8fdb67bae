"""Idempotency: a request that creates may be sent again under its Idempotency-Key without creating twice."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Request

from workers.store.answered import Request as Named
from workers.store.api_keys import ApiKey

__all__ = ["IdempotencyKey", "named_request"]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A name of the caller's for this request, such as a UUID. Sent again within 24 hours with the same "
        "body, the first answer comes again (Idempotent-Replayed: true) and nothing is created twice.",
    ),
]


def named_request(request: Request, key: ApiKey, name: str | None, body: bytes) -> Named | None:
    """Names the request by all that it asks for; None when it has no Idempotency-Key. InvalidRequest."""
    if name is None:
        return None
    query = request.scope.get("query_string", b"").decode("latin-1")
    return Named.of(key.id, name, f"{request.method} {request.url.path}?{query}", body)
