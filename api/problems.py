"""Problems: every error as application/problem+json (RFC 9457), with a code, a request id and pointers to fields."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from interleaf.errors import DayQuotaReached, InterleafError, InvalidBrief, InvalidRequest, shown

__all__ = [
    "MEDIA_TYPE",
    "InvalidFields",
    "Problem",
    "ProblemField",
    "ProblemQuota",
    "Unexpected",
    "install",
    "problem_answer",
    "problem_of",
    "problem_of_record",
]

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 5
MAX_FIELDS: Final = 20

_log = logging.getLogger(__name__)
_INDEX: Final = re.compile(r"\[(\d+)\]")

# Errors of the framework, which has no codes.
_HTTP_CODES: Final = {
    400: ("body_invalid", "The body cannot be read."),
    404: ("not_found", "There is nothing at this path."),
    405: ("method_not_allowed", "This path has no such method; the header Allow lists those that it has."),
    415: ("media_unsupported", "The body is of a kind that is not taken here."),
}
# What failed inside is written to the log under the request id, and not told to strangers.
_HIDDEN: Final = {
    500: "Something went wrong in the service. Its log says what, under this request id.",
    503: "The service cannot do this now, and nothing was changed. Try again in a moment.",
    507: "The service has no room for this, and nothing was kept. Its operator must make room.",
}
_TOLD: Final = frozenset({"not_ready", "queue_full", "library_unanswered"})


class ProblemField(BaseModel):
    """One field that is wrong."""

    pointer: str | None = Field(None, description="JSON Pointer into the body, such as /outline/sections/0/title")
    parameter: str | None = Field(None, description="A parameter of the query or the path")
    header: str | None = Field(None, description="A header")
    detail: str


class ProblemQuota(BaseModel):
    """A quota that is used up."""

    name: str = Field(description="As the key has it, such as max_jobs_per_day")
    limit: int
    used: float
    free_at: datetime = Field(description="When there is room again")


class Problem(BaseModel):
    """What went wrong, for people and for programs (RFC 9457). Programs go by `code`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/v1/problems/invalid_brief",
                    "title": "Invalid brief",
                    "status": 422,
                    "detail": "length_words: Input should be greater than or equal to 50",
                    "code": "invalid_brief",
                    "request_id": "3f0c0a4f6f5f4d5a",
                    "errors": [{"pointer": "/length_words", "detail": "Input should be greater than or equal to 50"}],
                },
                {
                    "type": "/v1/problems/day_quota_reached",
                    "title": "Day quota reached",
                    "status": 429,
                    "detail": "max_jobs_per_day: jobs on a day (UTC) are limited to 50 for this key; used so far: 50. "
                    "There is room again at 2026-11-28T00:00:00Z; an administrator may change the quota.",
                    "code": "day_quota_reached",
                    "request_id": "3f0c0a4f6f5f4d5a",
                    "quota": {
                        "name": "max_jobs_per_day",
                        "limit": 50,
                        "used": 50,
                        "free_at": "2026-11-28T00:00:00Z",
                    },
                },
            ]
        }
    )

    type: str = Field(description="Where the code is explained: a path of this service")
    title: str = Field(description="The same for every problem of a code")
    status: int = Field(ge=400, le=599, description="The HTTP status")
    detail: str = Field(description="What went wrong this time, and what to do")
    code: str = Field(description="A stable name, such as job_unknown")
    instance: str | None = Field(None, description="Names this occurrence")
    request_id: str | None = Field(None, description="Under which the service's log has the request")
    errors: list[ProblemField] | None = Field(None, description="The fields that are wrong")
    quota: ProblemQuota | None = Field(None, description="With day_quota_reached: which one")


class InvalidFields(InterleafError):
    """Several fields of a request are wrong."""

    code = "invalid_request"
    http_status = 422

    def __init__(self, code: str, status: int, fields: Sequence[ProblemField]) -> None:
        super().__init__(code, status)
        self.problem_code, self.status, self.fields = code, status, tuple(fields)

    @classmethod
    def of(
        cls, error: ValidationError | RequestValidationError, code: str, prefix: Sequence[str | int]
    ) -> InvalidFields:
        """From pydantic's errors; `prefix` is where the validated value stands in the request (`body`, …)."""
        fields = []
        for one in list(error.errors())[:MAX_FIELDS]:
            loc: tuple[str | int, ...] = tuple(one["loc"])
            place, *path = [*prefix, *loc]
            # The value is not repeated: it may be large, or secret.
            detail = shown(str(one["msg"]).removeprefix("Value error, "))
            if place == "body":
                path = [] if one["type"] == "json_invalid" else path
                fields.append(ProblemField(pointer=_pointer(path), detail=detail))
            elif place == "header":
                fields.append(ProblemField(header=str(path[0]) if path else None, detail=detail))
            else:
                fields.append(ProblemField(parameter=str(path[0]) if path else None, detail=detail))
        return cls(code, 422, fields)

    @property
    def message(self) -> str:
        return "; ".join(f"{f.pointer or f.parameter or f.header or 'body'}: {f.detail}" for f in self.fields[:3])


class Unexpected(InterleafError):
    """A mistake of this program; the log has it."""

    code = "internal_error"


def problem_of(error: InterleafError, request_id: str | None = None) -> Problem:
    """The problem that an error is. What failed inside the service is named, not described."""
    status, code = error.http_status, error.code
    errors = None
    if isinstance(error, InvalidFields):
        status, code, errors = error.status, error.problem_code, list(error.fields)
    elif isinstance(error, InvalidBrief):
        errors = [ProblemField(pointer=_pointer(_parts(error.thing)), detail=f"{error.problem} {error.remedy}".strip())]
    elif isinstance(error, InvalidRequest):
        errors = [_field_of(error)]
    quota = None
    if isinstance(error, DayQuotaReached) and error.free_at:
        quota = ProblemQuota(
            name=error.quota, limit=error.limit, used=error.used, free_at=datetime.fromisoformat(error.free_at)
        )
    detail = error.message if status < 500 or code in _TOLD or status == 501 else _HIDDEN.get(status, _HIDDEN[500])
    return _problem(status, code, detail, request_id, errors, quota)


def problem_of_record(record: Mapping[str, Any]) -> Problem:
    """The problem that ended a job: told to its owner in full, as the job store keeps it."""
    code = str(record.get("code", "error"))
    return _problem(_STATUS.get(code, 500), code, str(record.get("message", "")), None, None)


def problem_answer(scope: Scope, error: InterleafError, headers: Mapping[str, str] | None = None) -> Response:
    """The whole answer, also for what stands before the routes. Errors of the service itself go to the log."""
    request_id = scope.get("state", {}).get("request_id")
    problem = problem_of(error, request_id)
    if problem.status >= 500:
        _log.error("request %s: %s: %s", request_id, error.code, error.message, exc_info=error.__cause__)
    if isinstance(error, DayQuotaReached) and error.wait_s:
        headers = {"Retry-After": str(error.wait_s), **(headers or {})}
    return _response(problem, headers)


def install(app: FastAPI, methods_of: Callable[[str], Sequence[str]]) -> None:
    """Make every error of `app`'s routes a problem. `methods_of(path)`: those that the routes of a path have."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, InterleafError)
        return problem_answer(request.scope, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # A body that is no JSON was refused before (api/strict_json.py); what comes here has wrong fields.
        places = {one["loc"][0] for one in error.errors() if one["loc"]}
        code = "invalid_request" if places - {"body"} else "invalid_body"
        if "body" in places and request.url.path in ("/v1/jobs", "/v1/jobs:estimate"):
            code = "invalid_brief"
        return problem_answer(request.scope, InvalidFields.of(error, code, ()))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        carried = getattr(error, "error", None)
        headers = dict(error.headers or {})
        if isinstance(carried, InterleafError):
            # The rest of the body is not read, so the connection cannot be used again.
            return problem_answer(request.scope, carried, headers | {"Connection": "close"})
        if error.status_code == 405:
            # The framework names those of the first route that it finds at the path.
            found = methods_of(request.url.path) or headers.get("Allow", "GET").replace(" ", "").split(",")
            headers = {name: value for name, value in headers.items() if name.lower() != "allow"}
            headers["Allow"] = ", ".join(sorted(found))
        code, detail = _HTTP_CODES.get(error.status_code, ("refused", "The request is refused."))
        request_id = request.scope.get("state", {}).get("request_id")
        return _response(_problem(error.status_code, code, detail, request_id, None), headers)

    app.add_exception_handler(InterleafError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _problem(
    status: int,
    code: str,
    detail: str,
    request_id: str | None,
    errors: list[ProblemField] | None,
    quota: ProblemQuota | None = None,
) -> Problem:
    return Problem(
        type=f"/v1/problems/{code}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        code=code,
        instance=None if request_id is None else f"urn:interleaf:request:{request_id}",
        request_id=request_id,
        errors=errors,
        quota=quota,
    )


def _response(problem: Problem, headers: Mapping[str, str] | None) -> Response:
    given = dict(headers or {})
    if problem.status in (429, 503) or problem.code == "request_in_progress":
        given.setdefault("Retry-After", str(RETRY_AFTER_S))
    if problem.status == 401:
        given.setdefault("WWW-Authenticate", 'Bearer realm="interleaf"')
    return Response(problem.model_dump_json(exclude_none=True), problem.status, given, MEDIA_TYPE)


def _field_of(error: InvalidRequest) -> ProblemField:
    detail = f"{error.problem} {error.remedy}".strip()
    if error.thing[:1].isupper():
        return ProblemField(header=error.thing, detail=detail)
    if error.thing.startswith("body."):
        return ProblemField(pointer=_pointer(_parts(error.thing.removeprefix("body."))), detail=detail)
    return ProblemField(parameter=error.thing, detail=detail)


def _parts(path: str) -> list[str]:
    """`outline.sections[2].title` as its parts."""
    return [part for part in _INDEX.sub(r".\1", path).split(".") if part]


def _pointer(parts: Sequence[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _statuses(kind: type[InterleafError]) -> dict[str, int]:
    found = {kind.code: kind.http_status}
    for child in kind.__subclasses__():
        found |= {code: status for code, status in _statuses(child).items() if code not in found}
    return found


_STATUS: Final = _statuses(InterleafError)
