"""Deprecation: operations that will go, told by headers on their answers and in the description before they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["DEPRECATED", "Deprecated", "Deprecation"]


@dataclass(frozen=True)
class Deprecation:
    """That an operation should not be used any more. Times have a time zone."""

    since: datetime
    explained_at: str
    """Address of the text that says what to use instead."""
    ends: datetime | None = None
    """From then on it may be gone."""

    @property
    def headers(self) -> dict[str, str]:
        """Deprecation (RFC 9745), Sunset (RFC 8594), and a Link to the explanation."""
        told = {
            "Deprecation": f"@{int(self.since.timestamp())}",
            "Link": f'<{self.explained_at}>; rel="deprecation"; type="text/html"',
        }
        if self.ends is not None:
            told["Sunset"] = format_datetime(self.ends.astimezone(UTC), usegmt=True)
        return told


DEPRECATED: Final[Mapping[str, Deprecation]] = {}
"""By operation id. Nothing of /v1 is on its way out; what will be is named here and nowhere else."""


class Deprecated:
    """ASGI: adds the headers to every answer of an operation that is named."""

    def __init__(self, app: ASGIApp, named: Mapping[str, Deprecation]) -> None:
        self._app = app
        self._named = named

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = self._named.get(getattr(scope.get("route"), "operation_id", None) or "")
                if known is not None:
                    headers = MutableHeaders(scope=message)
                    for name, value in known.headers.items():
                        headers.append(name, value)  # a list has Links of its own
            await send(message)

        await self._app(scope, receive, told if scope["type"] == "http" else send)
