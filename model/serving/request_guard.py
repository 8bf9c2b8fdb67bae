"""Request guard: who may talk to the server at all. Stands before every route.

With a key: only who has it. Without one the server is for this machine's own programs; pages in its browser are not
among them, so the Host must be a name of this machine (else another site's name could be pointed at it), and a body
must say that it is JSON (which a browser does not send to another site without asking first; it is told no).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from model.serving.completion_answer import error_body

__all__ = ["RequestGuard", "is_local"]

OPEN_PATHS: Final = frozenset({"/health"})


class RequestGuard:
    """ASGI: answers 401, 403 or 415 by itself, passes on everything else."""

    def __init__(self, app: ASGIApp, api_key: str | None) -> None:
        self._app = app
        self._digest = hashlib.sha256(api_key.encode("utf-8")).digest() if api_key is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        refused = self._refusal(scope) if scope["type"] == "http" else None
        await (refused or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self._digest is None:
            if not is_local(_host_name(headers.get("host", ""))):
                message = "This server has no key and answers to names of its own machine alone."
                return JSONResponse(error_body(403, message, "host_refused"), 403)
        elif scope["path"] not in OPEN_PATHS and not self._knows(headers.get("authorization", "")):
            message = "The API key is missing or wrong. Send it as Authorization: Bearer KEY."
            return JSONResponse(error_body(401, message, "invalid_api_key"), 401, {"WWW-Authenticate": "Bearer"})
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            message = "The body must be JSON. Send Content-Type: application/json."
            return JSONResponse(error_body(415, message, "unsupported_media_type"), 415)
        return None

    def _knows(self, authorization: str) -> bool:
        """By the time that it takes, nothing can be told of the key."""
        scheme, _, key = authorization.partition(" ")
        digest = hashlib.sha256(key.strip().encode("utf-8")).digest()
        return hmac.compare_digest(digest, self._digest or b"") and scheme.lower() == "bearer"


def is_local(host: str) -> bool:
    """Whether a name or address is this machine's own, which no other machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host_name(host: str) -> str:
    """The name in a Host header, without its port and the brackets of an address of IPv6."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        return name if not port or port.startswith(":") else host
    return host.partition(":")[0]
