"""Server: an engine behind OpenAI's HTTP interface, for clients that exist.

`POST /v1/chat/completions` (whole or as server-sent events), `GET /v1/models`, `GET /health`. One request at a time
goes through the engine, a bounded number waits, and an answer whose client went away stops at its next token. FastAPI
and uvicorn are touched here alone (and Starlette's types in model/request_guard.py).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from interleaf.errors import InterleafError, ModelError, ModelMissing, RequestRefused, shown
from model.completion_answer import CompletionAnswer, error_body, models_body, status_of, usage_of
from model.completions import SEEDS, ChatRequest, parsed, request_of
from model.engine import Engine, Piece
from model.engine import Request as Asked
from model.engine_queue import EngineQueue
from model.request_guard import RequestGuard

__all__ = ["bound_socket", "create_app", "serve"]

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
BODY_TIMEOUT_S: Final = 60.0
QUEUE_PLACES: Final = 16
RETRY_AFTER_S: Final = 5
GRACE_S: Final = 5
MIN_KEY_CHARS: Final = 16

_log = logging.getLogger(__name__)


def create_app(
    engine: Engine,
    *,
    model_name: str,
    api_key: str | None = None,
    queue_places: int = QUEUE_PLACES,
    max_body_bytes: int = MAX_BODY_BYTES,
    draw_seed: Callable[[], int] = lambda: secrets.randbelow(SEEDS),
    clock_s: Callable[[], float] = time.time,
) -> FastAPI:
    """The server as an ASGI application. It does not close the engine.

    `model_name`: what clients ask for; `api_key`: None for this machine's programs alone, at least 16 characters;
    `queue_places`: requests answered or waiting at a time. RequestRefused for a key that is too short."""
    if api_key is not None and len(api_key) < MIN_KEY_CHARS:
        raise RequestRefused("api_key", f"has less than {MIN_KEY_CHARS} characters.", "Give a longer, random one.")
    queue = EngineQueue(engine, queue_places)
    started_s = int(clock_s())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(queue.close)

    # Without the pages that describe it: they load scripts from elsewhere.
    app = FastAPI(
        title="interleaf",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        middleware=[Middleware(RequestGuard, api_key=api_key)],
    )
    app.add_exception_handler(InterleafError, _told)
    app.add_exception_handler(HTTPException, _told_http)
    app.add_exception_handler(Exception, _told_unexpected)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return models_body(model_name, started_s)

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        _check_model(name, model_name)
        found: dict[str, Any] = models_body(model_name, started_s)["data"][0]
        return found

    completions = _Completions(engine, queue, model_name, max_body_bytes, draw_seed, clock_s)
    app.router.routes.append(Route("/v1/chat/completions", completions, methods=["POST"]))
    return app


def bound_socket(host: str, port: int, *, has_key: bool) -> socket.socket:
    """A socket that listens at an address (port 0: any free one). RequestRefused when the address can be reached
    from other machines and there is no key, or when it cannot be had."""
    if not has_key and not _is_local(host):
        problem = "can be reached by other machines, and the server has no key."
        raise RequestRefused(host, problem, "Give a key, or stay at 127.0.0.1.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or type(error).__name__
        raise RequestRefused(f"{host}:{port}", f"cannot be listened at ({said}).", "Use another port.") from error
    return listening


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Answer until the process is asked to end."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_S
    )
    uvicorn.Server(config).run(sockets=[listening])


class _Completions:
    """The route of completions, as ASGI: from reading the body to the last byte in one scope, so that whatever ends
    it gives the place back and stops the engine."""

    def __init__(
        self,
        engine: Engine,
        queue: EngineQueue,
        model_name: str,
        max_body_bytes: int,
        draw_seed: Callable[[], int],
        clock_s: Callable[[], float],
    ) -> None:
        self._engine, self._queue, self._model_name = engine, queue, model_name
        self._max_body_bytes, self._draw_seed, self._clock_s = max_body_bytes, draw_seed, clock_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._queue.place():
            try:
                body = await _body(Request(scope, receive), self._max_body_bytes)
            except ClientDisconnect:
                return
            asked, wanted = await run_in_threadpool(self._understood, body)
            work = asyncio.ensure_future(self._answer(asked, wanted, scope, receive, send))
            watch = asyncio.ensure_future(_gone(receive))
            try:
                await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()  # raises what went wrong
            finally:
                watch.cancel()
                work.cancel()
                await asyncio.gather(work, watch, return_exceptions=True)

    def _understood(self, body: bytes) -> tuple[ChatRequest, Asked]:
        asked = parsed(body)
        _check_model(asked.model, self._model_name)
        return asked, request_of(asked, self._draw_seed)

    async def _answer(self, asked: ChatRequest, wanted: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        names = CompletionAnswer(
            f"chatcmpl-{secrets.token_hex(12)}", int(self._clock_s()), self._model_name, self._engine.fingerprint
        )
        headers = {
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "x-interleaf-seed": str(wanted.sampling.seed),
        }
        async with aclosing(self._queue.answer(wanted)) as made:
            if asked.stream:
                await _stream(names, asked, made, headers, send)
                return
            text, finish, prompt_tokens, tokens = [], "stop", 0, 0
            async for what in made:
                if isinstance(what, int):
                    prompt_tokens = what
                    continue
                text.append(what.text)
                tokens += what.tokens
                finish = what.finish or finish
            whole = names.whole("".join(text), finish, usage_of(prompt_tokens, tokens))
        await JSONResponse(whole, headers=headers)(scope, receive, send)


async def _stream(
    names: CompletionAnswer,
    asked: ChatRequest,
    made: AsyncIterator[int | Piece],
    headers: dict[str, str],
    send: Send,
) -> None:
    """An answer as events. The head is sent with the first piece, so that a request that the engine refuses has its
    own status; what goes wrong later is an event."""
    prompt_tokens, tokens, begun = 0, 0, False
    counted = asked.usage_wanted
    try:
        async for what in made:
            if isinstance(what, int):
                prompt_tokens = what
                continue
            if not begun:
                begun = True
                await _send_head(headers, send)
                role = {"role": "assistant", "content": ""}
                await _send_event(names.chunk(role, None, usage_follows=counted), send)
            tokens += what.tokens
            if what.text:
                await _send_event(names.chunk({"content": what.text}, None, usage_follows=counted), send)
            if what.finish is not None and what.finish != "canceled":
                await _send_event(names.chunk({}, what.finish, usage_follows=counted), send)
    except InterleafError as error:
        if not begun:
            raise
        await _send_event(_error_of(error), send)
    except Exception:
        if not begun:
            raise
        _log.exception("%s: the engine failed in the middle of an answer", names.id)
        await _send_event(error_body(500, f"Something went wrong in the server ({names.id}).", "internal"), send)
    else:
        if counted:
            await _send_event(names.usage_chunk(usage_of(prompt_tokens, tokens)), send)
        await _send_bytes(b"data: [DONE]\n\n", send)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_head(headers: dict[str, str], send: Send) -> None:
    told = {**headers, "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": 200, "headers": pairs})


async def _send_event(data: dict[str, Any], send: Send) -> None:
    await _send_bytes(f"data: {json.dumps(data)}\n\n".encode("ascii"), send)


async def _send_bytes(data: bytes, send: Send) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _body(request: Request, most_bytes: int) -> bytes:
    """The body, never more of it in memory than allowed. HTTPException 413 or 408."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said[:20]) > most_bytes:
        raise HTTPException(413, f"The body has more than {most_bytes:,} bytes.")
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                data += chunk
                if len(data) > most_bytes:
                    raise HTTPException(413, f"The body has more than {most_bytes:,} bytes.")
    except TimeoutError:
        raise HTTPException(408, f"The body did not come within {BODY_TIMEOUT_S:.0f} s.") from None
    return bytes(data)


async def _gone(receive: Receive) -> None:
    """Ends when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _check_model(name: str, served: str) -> None:
    if name != served:
        raise ModelMissing(shown(name), f"is not served here; {served} is.", "Ask for that one.")


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _error_of(error: InterleafError) -> dict[str, Any]:
    param = error.thing if isinstance(error, RequestRefused) else None
    return error_body(status_of(error), error.message, error.code, param)


async def _told(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InterleafError), "registered for these alone"
    status = status_of(error)
    if isinstance(error, ModelError) and status >= 500:
        _log.warning("%s: %s", error.code, error.message)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
    return JSONResponse(_error_of(error), status, headers)


async def _told_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "registered for these alone"
    codes = {404: "not_found", 405: "method_not_allowed", 408: "body_too_slow", 413: "body_too_large"}
    headers = dict(error.headers or {})
    if error.status_code in (408, 413):
        headers["Connection"] = "close"  # the rest of the body is not read
    return JSONResponse(
        error_body(error.status_code, str(error.detail), codes.get(error.status_code, "refused")),
        error.status_code,
        headers,
    )


async def _told_unexpected(request: Request, error: Exception) -> JSONResponse:
    """Nothing of what went wrong inside leaves; the log has it, written by the framework."""
    return JSONResponse(error_body(500, "Something went wrong in the server; its log says what.", "internal"), 500)
