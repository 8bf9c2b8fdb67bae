"""Reply: an answer that is not a problem: JSON with headers; and what an ETag settles."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import BaseModel
from starlette.responses import Response

from workers.store.answered import Answer

__all__ = ["answer_of", "etag_of", "matches", "reply", "response_of"]

JSON = "application/json"


def reply(value: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The value as JSON."""
    return Response(value.model_dump_json(), status, dict(headers or {}), JSON)


def answer_of(value: BaseModel, status: int, headers: Mapping[str, str]) -> Answer:
    """The same as a value that can be kept."""
    return Answer(status, value.model_dump_json().encode(), headers)


def response_of(answer: Answer, *, replayed: bool) -> Response:
    """A kept answer, or the first one, as it goes out."""
    headers = dict(answer.headers)
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(answer.body, answer.status, headers, JSON)


def etag_of(body: bytes) -> str:
    """A strong ETag: the head of the body's hash."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match names the ETag: one of a list, weak or strong, or any (`*`)."""
    if header is None:
        return False
    named = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in named or etag in named
