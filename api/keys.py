"""Keys: the gate before all routes: who asks, and whether they ask too often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.door import Door
from api.problems import problem_answer
from api.rate import Allowance, Rates
from interleaf.errors import InterleafError, KeyRefused, RequestsTooMany
from workers.store.api_keys import ApiKey

__all__ = ["OPEN_PATHS", "OPEN_PREFIXES", "Gate"]

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/v1/openapi.json"})
"""What is told to anybody: that the service is there, and how it is spoken to."""

OPEN_PREFIXES: Final = ("/v1/problems/",)
"""What a code means."""

MAX_HEADER_CHARS: Final = 200


class Gate:
    """ASGI: lets a request in whose `Authorization: Bearer` is a key in force, and counts it. 401, 429 and 503 come
    from here, before a body is read and whatever the path."""

    def __init__(self, app: ASGIApp, door: Callable[[], Door], rates: Rates) -> None:
        self._app = app
        self._door = door
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
            await self._app(scope, receive, send)
            return
        door = self._door()
        try:
            key = await self._key(door, scope)
            allowance = self._rates.ask(key.id, key.quotas.requests_per_minute or door.limits.requests_per_minute)
            _require(allowance, f"key {key.prefix}…")
        except _TooMany as error:
            headers = {"Retry-After": str(error.wait_s), "Connection": "close"}
            await problem_answer(scope, error, headers | error.headers)(scope, receive, send)
            return
        except InterleafError as error:
            await problem_answer(scope, error, {"Connection": "close"})(scope, receive, send)
            return
        scope["state"]["key"] = key

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(allowance.headers)
            await send(message)

        await self._app(scope, receive, told)

    async def _key(self, door: Door, scope: Scope) -> ApiKey:
        """KeyRefused; RequestsTooMany for a wrong key from an address that has tried many.

        A right key is let in from there all the same: behind a proxy everybody has one address, and nobody may lock
        the others out."""
        said = Headers(scope=scope).getlist("authorization")
        if len(said) == 1 and len(said[0]) <= MAX_HEADER_CHARS:
            kind, _, secret = said[0].partition(" ")
            if kind.lower() == "bearer":
                key = await door.known_keys.find(secret.strip())
                if key is not None:
                    return key
                address = f"address {(scope.get('client') or ('unknown',))[0]}"
                _require(self._rates.ask(address, door.limits.wrong_keys_per_minute), address)
                raise KeyRefused("Authorization", "its key is unknown or revoked.", "Use a key that is in force.")
        raise KeyRefused("Authorization", "names no key.", "Send the header Authorization: Bearer ilk_….")


class _TooMany(RequestsTooMany):
    """Knows when to come again."""

    def __init__(self, who: str, allowance: Allowance) -> None:
        super().__init__(who, f"sends more than {allowance.per_minute} requests a minute.", "Wait a little.")
        self.wait_s = max(1, allowance.wait_s)
        self.headers = allowance.headers


def _require(allowance: Allowance, who: str) -> None:
    if not allowance.granted:
        raise _TooMany(who, allowance)
