"""OpenAPI: the description of the service (3.1), with every answer that an operation may give."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.deprecation import Deprecation
from api.problems import MEDIA_TYPE, Problem
from api.webhook_messages import described_messages
from interleaf import __version__

__all__ = ["ETAG", "NOT_MODIFIED", "NO_CONTENT", "PATH", "describe", "methods_of", "problems"]

PATH: Final = "/v1/openapi.json"

Answers = dict[int | str, dict[str, Any]]

MEANINGS: Final = {
    400: "The body cannot be read",
    401: "The request has no key, or one that is not in force",
    403: "The key may not do this",
    404: "There is no such thing, or it is another key's",
    405: "The path has no such method",
    408: "The body came too slowly",
    409: "It does not fit the state that the thing is in; `code` says why",
    412: "Somebody changed it since it was read: it has another version now",
    413: "The body is too large",
    415: "The body is of a kind that is not taken",
    416: "The file has none of these bytes",
    422: "A field is wrong; `errors` says which",
    428: "The request does not say which version it changes: send If-Match",
    429: "Too many requests, or a quota is used up; come again after Retry-After",
    500: "A mistake of the service; its log has the request id",
    503: "The service cannot do this now, and nothing was changed; come again after Retry-After",
    507: "The service has no room",
}

ETAG: Final[dict[str, Any]] = {"ETag": {"schema": {"type": "string"}, "description": "Changes with the content"}}
NOT_MODIFIED: Final[Answers] = {304: {"description": "It is the one that is known", "headers": ETAG}}
NO_CONTENT: Final[Answers] = {204: {"description": "Gone"}}

ABOUT: Final = """Composes illustrated articles from a brief, your own sources and your own pictures.

An order is a job: `POST /v1/jobs` answers 202 at once, and the job is not lost any more. Look at it with
`GET /v1/jobs/{job_id}`, follow it with `GET /v1/jobs/{job_id}/events`, fetch what it made with
`GET /v1/documents/{document_id}` and `GET /v1/artifacts/{artifact_id}`.

Each request but those to `/healthz`, `/readyz`, this description and the meanings of codes has a key:
`Authorization: Bearer ilk_…`. What belongs to another key answers 404. Every error is `application/problem+json`
(RFC 9457) with a stable `code` and a `request_id`.

What has GET has HEAD, which answers the same without a body. Lists have the header `Link` with the addresses of other
pages. An operation that is to go says so beforehand: `Deprecation` and `Sunset` on its answers, `deprecated` here.
"""


def problems(*statuses: int) -> Answers:
    """Answers that are problems, for a route to name."""
    return {status: _problem(status) for status in statuses}


def methods_of(description: Mapping[str, Any], path: str) -> list[str]:
    """The methods that the operations at a path have; none where there is nothing."""
    return [
        method.upper()
        for template, operations in description["paths"].items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
        for method in operations
    ]


def describe(app: FastAPI, deprecated: Mapping[str, Deprecation] | None = None) -> dict[str, Any]:
    """The description of all routes of `app`; made once."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    found = get_openapi(
        title="interleaf",
        version=__version__,
        openapi_version="3.1.0",
        summary="Jobs that compose illustrated articles",
        description=ABOUT,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/"}],
        separate_input_output_schemas=True,
    )
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
            if operation["operationId"] in (deprecated or {}):
                operation["deprecated"] = True
        if "get" in operations:
            operations["head"] = _head_of(operations["get"])
    found["webhooks"] = described_messages()
    schemas = found["components"]["schemas"]
    schemas.setdefault("Problem", Problem.model_json_schema(ref_template="#/components/schemas/{model}"))
    for name, schema in schemas["Problem"].pop("$defs", {}).items():
        schemas.setdefault(name, schema)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    app.openapi_schema = found
    return found


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Add what comes from before the routes, and what every route of that form may answer."""
    answers: dict[str, Any] = operation["responses"]
    is_open = not operation.get("security")
    common = [500] if is_open else [401, 403, 429, 500, 503]
    has_body = "requestBody" in operation
    if has_body or method in ("post", "delete"):
        common += [400, 408, 413, 415]
    if operation.get("parameters") or has_body:
        common.append(422)
    if "{" in path:
        common.append(404)
    for status in sorted(set(common)):
        if str(status) not in answers or MEDIA_TYPE not in answers[str(status)].get("content", {}):
            answers[str(status)] = _problem(status)
    if not is_open:
        for answer in answers.values():
            answer.setdefault("headers", {}).update(_HEADERS)
    operation["responses"] = dict(sorted(answers.items()))


def _head_of(operation: Mapping[str, Any]) -> dict[str, Any]:
    """The same without bodies: `getJob` → `headJob`, `listJobs` → `headJobs`."""
    head = deepcopy(dict(operation))
    head["operationId"] = "head" + re.sub(r"^(get|list)", "", operation["operationId"])
    head["summary"] = f"{operation['summary'].rstrip('?')}: the headers alone"
    head["description"] = "What GET answers, without its body."
    head["responses"] = {
        status: {name: told for name, told in answer.items() if name != "content"}
        for status, answer in head["responses"].items()
        if status not in ("206", "416")  # a range is GET's
    }
    return head


_HEADERS: Final[dict[str, Any]] = {
    "X-Request-Id": {"schema": {"type": "string"}, "description": "Under which the log has the request"}
}


def _problem(status: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": MEANINGS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in (429, 503):
        told["headers"] = {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds to wait"}}
    return told
