"""Strict JSON: a body is JSON in UTF-8, without NaN and infinities, not nested without end; or it is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.limits import BodyRefused
from interleaf.errors import BodyInvalid, MediaUnsupported

__all__ = ["StrictRoute", "read_json"]


def read_json(raw: bytes) -> Any:
    """The value. BodyInvalid says where it ends to be JSON."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refused_constant, parse_float=_finite)
    except RecursionError as error:
        raise BodyInvalid("body", "is nested too deeply.", "Send flatter JSON.") from error
    except ValueError as error:
        said = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else str(error)[:100]
        raise BodyInvalid("body", f"is not JSON ({said}).", "Send one JSON value in UTF-8.") from error


class _StrictRequest(Request):
    async def json(self) -> Any:
        try:
            return read_json(await self.body())
        except BodyInvalid as error:
            raise BodyRefused(error) from error


class StrictRoute(APIRoute):
    """A route whose JSON body is read strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As the framework wants it."""
        handle = super().get_route_handler()
        takes_json = self.body_field is not None

        async def strictly(request: Request) -> Response:
            # One request from here on: a body can be read once.
            strict = _StrictRequest(request.scope, request.receive)
            if takes_json:
                kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind != "application/json" and await strict.body():
                    raise MediaUnsupported("Content-Type", f"{kind[:80]!r} is not taken.", "Send application/json.")
            return await handle(strict)

        return strictly


def _refused_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value
