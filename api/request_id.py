"""Request id: the outermost layer: names each request, and answers for what nobody else caught."""

from __future__ import annotations

import logging
import re
import secrets
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Unexpected, problem_answer

__all__ = ["RequestIds"]

HEADER: Final = "X-Request-Id"
# Nothing of a request's own id can break a line of a log.
_FIT: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
# Nothing that is served here may run in a browser, be framed, or be taken for what it is not.
_SAFETY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_log = logging.getLogger(__name__)


class RequestIds:
    """ASGI: takes the caller's X-Request-Id when it is fit, else makes one; every answer carries it, and the headers
    that keep browsers safe."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _FIT.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        begun = False

        async def told(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers[HEADER] = request_id
                for name, value in _SAFETY.items():
                    headers.setdefault(name, value)
                # Answers are for their caller alone.
                headers.setdefault("Cache-Control", "private, no-store")
            await send(message)

        try:
            await self._app(scope, receive, told)
        except Exception as error:
            _log.exception("request %s: %s", request_id, type(error).__name__)
            if begun:
                raise  # half an answer is out: the connection must break, so that it is not taken for a whole one
            await problem_answer(scope, Unexpected(type(error).__name__))(scope, receive, told)
