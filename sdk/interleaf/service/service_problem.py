"""Service problem: an error that the service told becomes the exception that it would be in this process."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final

from pydantic import ValidationError

from interleaf.errors import (
    DayQuotaReached,
    InterleafError,
    KeyRefused,
    NeedsInput,
    ObjectUnknown,
    RequestRefused,
    RequestsTooMany,
    ScopeMissing,
    ServiceAway,
    ServiceError,
    shown,
)
from interleaf.service.service_records import FieldProblem, Problem, QuotaProblem

__all__ = ["error_of_answer", "error_of_problem"]

MAX_DETAIL_CHARS: Final = 2_000
MAX_FIELDS: Final = 20
_NUMBER: Final = re.compile(r"[0-9]+")


def error_of_problem(problem: Problem) -> InterleafError:
    """The error with that code; one of its status where the code is unknown here. It is about the first field that is
    wrong; the others, and the request id, stand in its notes (`__notes__`), which a traceback shows."""
    kind = _kinds().get(problem.code)
    if kind is None:
        kind = _of_status(problem.status)
    fields = problem.errors or ()
    detail = problem.detail[:MAX_DETAIL_CHARS] or problem.title or problem.code
    if fields and _place(fields[0]):
        error = kind(_place(fields[0]), fields[0].detail)
    else:
        thing, colon, said = detail.partition(": ")
        error = kind(thing, said) if colon else kind(problem.code, detail)
        if isinstance(error, DayQuotaReached) and problem.quota is not None:
            error = _day_quota(thing, said, problem.quota)
    error.request_id = problem.request_id
    for field in fields[1:MAX_FIELDS]:
        error.add_note(f"{_place(field) or 'request'}: {shown(field.detail)}")
    if problem.request_id:
        error.add_note(f"request id: {shown(problem.request_id)}")
    return error


def error_of_answer(status: int, headers: Mapping[str, str], body: bytes) -> InterleafError:
    """The error that an answer of status 400 and more is; also of one that a proxy gave."""
    try:
        return error_of_problem(Problem.model_validate(_object(body)))
    except ValidationError:
        pass
    text = shown(body[:200].decode("utf-8", "replace").strip())
    kind = _of_status(status)
    error = kind(f"HTTP status {status}", f"came without a code: {text or 'empty'}.", "Is this the service's address?")
    error.request_id = headers.get("x-request-id")
    return error


def _day_quota(thing: str, said: str, quota: QuotaProblem) -> DayQuotaReached:
    """With its numbers; how long it is until there is room goes by this machine's clock."""
    free_at = quota.free_at.astimezone(UTC)
    wait_s = max(0, ceil((free_at - datetime.now(UTC)).total_seconds()))
    told = f"{free_at:%Y-%m-%dT%H:%M:%SZ}"
    return DayQuotaReached(thing, said, "", quota.name, quota.limit, quota.used, told, wait_s)


def _object(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _kinds() -> dict[str, type[InterleafError]]:
    """Code → class. A class that takes over its parent's code does not take its place."""
    found: dict[str, type[InterleafError]] = {}
    open_kinds: list[type[InterleafError]] = [RequestRefused, *InterleafError.__subclasses__()]
    for kind in open_kinds:
        # Those of other modules have constructors of their own; so has NeedsInput, which no answer is.
        if kind.__module__ == InterleafError.__module__ and kind is not NeedsInput:
            if "code" in vars(kind):
                found.setdefault(kind.code, kind)
            open_kinds += kind.__subclasses__()
    return found


def _of_status(status: int) -> type[InterleafError]:
    known: dict[int, type[InterleafError]] = {
        401: KeyRefused,
        403: ScopeMissing,
        404: ObjectUnknown,
        429: RequestsTooMany,
        502: ServiceAway,
        503: ServiceAway,
        504: ServiceAway,
    }
    return known.get(status, RequestRefused if status < 500 else ServiceError)


def _place(field: FieldProblem) -> str:
    """Where the field stands: `outline.sections[2].title`, as in process."""
    if field.pointer is None:
        return field.parameter or field.header or ""
    said = ""
    for part in field.pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        said += f"[{name}]" if _NUMBER.fullmatch(name) else (f".{name}" if said else name)
    return said or "body"
