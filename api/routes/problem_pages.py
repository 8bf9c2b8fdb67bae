"""Problem pages: what each code of a problem means, at the address that is the problem's `type`."""

from __future__ import annotations

import inspect
from typing import Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.openapi import problems
from api.reply import reply
from interleaf.errors import InterleafError, ObjectUnknown

__all__ = ["router"]

router = APIRouter(prefix="/v1/problems", tags=["health"])

_FRAMEWORK: Final = {
    "not_found": ("There is nothing at this path.", 404),
    "method_not_allowed": ("This path has no such method.", 405),
    "invalid_body": ("A field of the body is wrong; `errors` says which.", 422),
    "refused": ("The request is refused.", 400),
}


class ProblemKind(BaseModel):
    """What a code means."""

    code: str
    meaning: str
    status: int = Field(description="The HTTP status that it usually comes with")
    retryable: bool = Field(description="Whether the same request may succeed later")


@router.get(
    "/{code}",
    response_model=ProblemKind,
    operation_id="getProblemKind",
    summary="What a problem's code means",
    responses=problems(404, 422),
)
async def get_problem_kind(code: str) -> Response:
    """Told to anybody."""
    if code in _FRAMEWORK:
        meaning, status = _FRAMEWORK[code]
        return reply(ProblemKind(code=code, meaning=meaning, status=status, retryable=False))
    kind = _kinds(InterleafError).get(code)
    if kind is None:
        raise ObjectUnknown(code, "is no code of a problem.", "Codes stand in the field `code` of a problem.")
    meaning = inspect.cleandoc(kind.__doc__ or code)
    return reply(ProblemKind(code=code, meaning=meaning, status=kind.http_status, retryable=kind.retryable))


def _kinds(kind: type[InterleafError]) -> dict[str, type[InterleafError]]:
    found = {kind.code: kind}
    for child in kind.__subclasses__():
        found |= {code: one for code, one in _kinds(child).items() if code not in found}
    return found
