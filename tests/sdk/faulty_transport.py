"""Faulty transport: httpx's real one, in front of which connections break and proxies answer as a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import httpx

from interleaf.service.retrying import Retrying

Fault = Callable[[httpx.Request], "httpx.Response | Cut | None"]
QUICK = Retrying(attempts=5, within_s=10, away_s=5, first_s=0.01, most_s=0.05)


class Cut:
    """The request arrives, and of its answer come `after` bytes (None: nothing at all, not even the head)."""

    def __init__(self, after: int | None) -> None:
        self.after = after


class _CutStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, stream: object, left: int) -> None:
        self._stream, self._left = stream, left

    def _some(self, piece: bytes) -> bytes:
        some = piece[: self._left]
        self._left -= len(some)
        return some

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:  # type: ignore[attr-defined]
            yield self._some(piece)
            if not self._left:
                break
        raise httpx.ReadError("cut")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:  # type: ignore[attr-defined]
            yield self._some(piece)
            if not self._left:
                break
        raise httpx.ReadError("cut")

    def close(self) -> None:
        self._stream.close()  # type: ignore[attr-defined]

    async def aclose(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined]


class Faulty(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """`faults` are used up one for each request that `concerns`; None lets a request through. `seen`: all requests."""

    def __init__(self, *faults: httpx.Response | Cut | Exception | None, concerns: str = "") -> None:
        self.faults = list(faults)
        self.seen: list[httpx.Request] = []
        self._concerns = concerns
        self._real = httpx.HTTPTransport()
        self._real_async = httpx.AsyncHTTPTransport()

    def _fault(self, request: httpx.Request) -> httpx.Response | Cut | None:
        self.seen.append(request)
        if self._concerns not in f"{request.method} {request.url.path}" or not self.faults:
            return None
        fault = self.faults.pop(0)
        if isinstance(fault, Exception):
            raise fault
        return fault

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        fault = self._fault(request)
        if isinstance(fault, httpx.Response):
            return fault
        answer = self._real.handle_request(request)
        if fault is None:
            return answer
        if fault.after is None:
            answer.read()
            raise httpx.ReadError("the answer was lost")
        return httpx.Response(answer.status_code, headers=answer.headers, stream=_CutStream(answer.stream, fault.after))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        fault = self._fault(request)
        if isinstance(fault, httpx.Response):
            return fault
        answer = await self._real_async.handle_async_request(request)
        if fault is None:
            return answer
        if fault.after is None:
            await answer.aread()
            raise httpx.ReadError("the answer was lost")
        return httpx.Response(answer.status_code, headers=answer.headers, stream=_CutStream(answer.stream, fault.after))

    def asked(self, what: str) -> list[httpx.Request]:
        """The requests like `POST /v1/jobs`."""
        return [one for one in self.seen if f"{one.method} {one.url.path}" == what]


def busy(status: int = 503, retry_after: str = "0") -> httpx.Response:
    """What a service says that cannot do it now."""
    problem = {"type": "/v1/problems/service_away", "status": status, "detail": "x", "code": "service_away"}
    return httpx.Response(status, json=problem, headers={"Retry-After": retry_after})
