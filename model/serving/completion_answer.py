"""Completion answer: what the server says in OpenAI's words: whole answers, pieces of a stream, models, errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from interleaf.errors import InterleafError, PromptTooLong, RequestRefused

__all__ = ["CompletionAnswer", "error_body", "error_of", "models_body", "status_of", "usage_of"]

# Their code where they have one; clients look at it.
_CODES: Final = {"prompt_too_long": "context_length_exceeded", "picture_unreadable": "invalid_image_url"}
_TYPES: Final = {401: "authentication_error", 404: "not_found_error"}


@dataclass(frozen=True)
class CompletionAnswer:
    """The names that all parts of one answer share."""

    id: str
    created_s: int
    model: str
    fingerprint: str

    def whole(self, text: str, finish: str, usage: dict[str, int]) -> dict[str, Any]:
        """A `chat.completion`."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage}

    def chunk(self, delta: dict[str, str], finish: str | None, *, usage_follows: bool) -> dict[str, Any]:
        """A `chat.completion.chunk` of what was added."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {
            **self._head("chat.completion.chunk"),
            "choices": [choice],
            **({"usage": None} if usage_follows else {}),
        }

    def usage_chunk(self, usage: dict[str, int]) -> dict[str, Any]:
        """The last chunk of a stream that was asked for its count."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created_s,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def usage_of(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """The count of tokens."""
    total = prompt_tokens + completion_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}


def models_body(model: str, created_s: int) -> dict[str, Any]:
    """The list of the one model."""
    return {
        "object": "list",
        "data": [{"id": model, "object": "model", "created": created_s, "owned_by": "interleaf"}],
    }


def status_of(error: InterleafError) -> int:
    """Their status for an error of ours. What a client must change is 400, which clients do not try again."""
    if isinstance(error, PromptTooLong):
        return 400
    if isinstance(error, RequestRefused) and error.http_status in (422, 501):
        return 400
    return error.http_status


def error_body(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    """Their shape of an error."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": _CODES.get(code, code)}}


def error_of(error: InterleafError) -> dict[str, Any]:
    """An error of ours in their shape; `param` names what a client must change."""
    param = error.thing if isinstance(error, RequestRefused) else None
    return error_body(status_of(error), error.message, error.code, param)
