"""Wire: drives steps over HTTP, with threads (`Wire`) or with an event loop (`AsyncWire`). The client's only file that
knows httpx."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from typing import Any, BinaryIO, Final, TypeVar

import anyio  # comes with httpx
import httpx
from anyio import to_thread

from interleaf import __version__
from interleaf.errors import InterleafError
from interleaf.service.service_address import ServiceAddress
from interleaf.service.steps import (
    Answer,
    ConnectionLost,
    Course,
    Do,
    Effect,
    Exchange,
    Give,
    Listen,
    Pause,
    Sending,
    Steps,
    Take,
)

__all__ = ["AsyncWire", "Wire"]

T = TypeVar("T")
NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
FIELD: Final = "file"


def _options(address: ServiceAddress, timeout_s: float) -> dict[str, Any]:
    return {
        "base_url": address.url,
        "headers": {"Authorization": f"Bearer {address.key}", "User-Agent": f"interleaf/{__version__}"},
        "timeout": timeout_s,
        "follow_redirects": False,  # the key goes where it was meant to go, and nowhere else
        "trust_env": not address.is_local,  # a proxy of the environment does not lead to this machine
    }


def _request(sending: Sending, timeout_s: float, opened: BinaryIO | None) -> dict[str, Any]:
    said: dict[str, Any] = {
        "method": sending.method,
        "url": sending.path,
        "headers": dict(sending.headers),
        "timeout": httpx.Timeout(timeout_s, read=timeout_s + sending.wait_s),
    }
    if sending.query:
        said["params"] = list(sending.query)
    if sending.body is not None:
        said["content"] = sending.body
        said["headers"]["Content-Type"] = "application/json"
    if sending.file is not None:
        said["files"] = {FIELD: (sending.file.name, opened, "application/octet-stream")}
    return said


def _headers(response: httpx.Response) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _lost(address: ServiceAddress, error: httpx.HTTPError | httpx.StreamError) -> ConnectionLost:
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    lost = ConnectionLost(address.url, f"cannot be reached, or broke off ({said[:200]}).", "Check that it runs.")
    lost.sent = not isinstance(error, NOT_SENT)
    return lost


class Wire:
    """A pool of connections to one service; safe for use by several threads."""

    def __init__(self, address: ServiceAddress, timeout_s: float, transport: httpx.BaseTransport | None) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._http = httpx.Client(transport=transport, **_options(address, timeout_s))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def run(self, steps: Steps[T]) -> T:
        """What the steps come to."""
        course = Course(steps)
        for _ in self._each(course):
            pass
        return course.result

    def each(self, steps: Steps[None]) -> Iterator[Any]:
        """What the steps give, as it comes."""
        return self._each(Course(steps))

    def _each(self, course: Course[Any]) -> Iterator[Any]:
        with ExitStack() as opened:
            opened.callback(course.close)
            talk = _Talk(self._http, self.address, self._timeout_s)
            opened.callback(talk.hang_up)
            effect = course.begin()
            while effect is not None:
                if isinstance(effect, Give):
                    yield effect.value
                    effect = course.tell(None)
                    continue
                try:
                    outcome = talk.do(effect)
                except InterleafError as error:
                    effect = course.fail(error)
                else:
                    effect = course.tell(outcome)


class _Talk:
    """One course's use of the wire: at most one answer is open."""

    def __init__(self, http: httpx.Client, address: ServiceAddress, timeout_s: float) -> None:
        self._http, self._address, self._timeout_s = http, address, timeout_s
        self._open: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def do(self, effect: Effect) -> Any:
        try:
            match effect:
                case Exchange(sending):
                    return self._send(sending, stay=False)
                case Listen(sending):
                    return self._send(sending, stay=True)
                case Take():
                    return next(self._pieces, b"")
                case Pause(seconds):
                    time.sleep(seconds)
                case Do(work):
                    return work()
        except (httpx.HTTPError, httpx.StreamError) as error:
            self.hang_up()
            raise _lost(self._address, error) from error
        return None

    def hang_up(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open, self._pieces = None, iter(())

    def _send(self, sending: Sending, *, stay: bool) -> Answer:
        self.hang_up()
        with ExitStack() as files:
            opened = None if sending.file is None else files.enter_context(sending.file.open())
            request = self._http.build_request(**_request(sending, self._timeout_s, opened))
            response = self._http.send(request, stream=True)
        self._open = response
        if stay and response.status_code < 400:
            self._pieces = response.iter_bytes()
            return Answer(response.status_code, _headers(response))
        body = response.read()
        self._open = None
        return Answer(response.status_code, _headers(response), body)


class AsyncWire:
    """A pool of connections to one service, for one event loop."""

    def __init__(self, address: ServiceAddress, timeout_s: float, transport: httpx.AsyncBaseTransport | None) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(transport=transport, **_options(address, timeout_s))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def run(self, steps: Steps[T]) -> T:
        """What the steps come to."""
        course = Course(steps)
        async for _ in self._each(course):
            pass
        return course.result

    def each(self, steps: Steps[None]) -> AsyncIterator[Any]:
        """What the steps give, as it comes."""
        return self._each(Course(steps))

    async def _each(self, course: Course[Any]) -> AsyncIterator[Any]:
        async with AsyncExitStack() as opened:
            opened.callback(course.close)
            talk = _AsyncTalk(self._http, self.address, self._timeout_s)
            opened.push_async_callback(talk.hang_up)
            effect = course.begin()
            while effect is not None:
                if isinstance(effect, Give):
                    yield effect.value
                    effect = course.tell(None)
                    continue
                try:
                    outcome = await talk.do(effect)
                except InterleafError as error:
                    effect = course.fail(error)
                else:
                    effect = course.tell(outcome)


class _AsyncTalk:
    """One course's use of the wire: at most one answer is open."""

    def __init__(self, http: httpx.AsyncClient, address: ServiceAddress, timeout_s: float) -> None:
        self._http, self._address, self._timeout_s = http, address, timeout_s
        self._open: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None

    async def do(self, effect: Effect) -> Any:
        try:
            match effect:
                case Exchange(sending):
                    return await self._send(sending, stay=False)
                case Listen(sending):
                    return await self._send(sending, stay=True)
                case Take():
                    return b"" if self._pieces is None else await anext(self._pieces, b"")
                case Pause(seconds):
                    await anyio.sleep(seconds)
                case Do(work):
                    return await to_thread.run_sync(work)
        except (httpx.HTTPError, httpx.StreamError) as error:
            await self.hang_up()
            raise _lost(self._address, error) from error
        return None

    async def hang_up(self) -> None:
        if self._open is not None:
            await self._open.aclose()
        self._open, self._pieces = None, None

    async def _send(self, sending: Sending, *, stay: bool) -> Answer:
        await self.hang_up()
        with ExitStack() as files:
            opened = None if sending.file is None else files.enter_context(sending.file.open())
            request = self._http.build_request(**_request(sending, self._timeout_s, opened))
            response = await self._http.send(request, stream=True)
        self._open = response
        if stay and response.status_code < 400:
            self._pieces = response.aiter_bytes()
            return Answer(response.status_code, _headers(response))
        body = await response.aread()
        self._open = None
        return Answer(response.status_code, _headers(response), body)
