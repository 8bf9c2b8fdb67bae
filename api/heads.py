"""Heads: HEAD answers as GET would, headers and status, without the body (RFC 9110, 9.3.2); on every path that has
GET."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Heads", "is_head"]

_MARK: Final = "is_head"


def is_head(request: Request) -> bool:
    """Whether the body of the answer will not go out, so that a route need not read what it would stream."""
    return bool(request.scope.get("state", {}).get(_MARK, False))


class Heads:
    """ASGI, next to the routes: they see a GET; everybody outside sees the HEAD that it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        ended = False

        async def told(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                # The server decides by the method how the end of the answer is marked.
                scope["method"] = "HEAD"
                await send(message)
            elif message["type"] != "http.response.body":
                await send(message)
            elif not ended:
                ended = True
                await send({"type": "http.response.body", "body": b""})

        scope.setdefault("state", {})[_MARK] = True
        # In place: the layers outside read from this same value which route was taken.
        scope["method"] = "GET"
        try:
            await self._app(scope, receive, told)
        finally:
            scope["method"] = "HEAD"
