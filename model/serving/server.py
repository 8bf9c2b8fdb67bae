"""Server: an engine behind OpenAI's HTTP interface, for clients that exist.

`POST /v1/chat/completions` (whole or as server-sent events), `GET /v1/models`, `GET /health`. One request at a time
goes through the engine, a bounded number waits, and an answer whose client went away stops at its next token. FastAPI
and uvicorn are touched here alone, Starlette's types in the route (completion_route.py) and the guard too.
"""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from interleaf.errors import InterleafError, ModelError, RequestRefused
from model.inference.engine import Engine
from model.serving.completion_answer import error_body, error_of, models_body, status_of
from model.serving.completion_request import SEEDS
from model.serving.completion_route import CompletionRoute, check_model
from model.serving.engine_queue import EngineQueue
from model.serving.request_guard import RequestGuard, is_local

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
    body_timeout_s: float = BODY_TIMEOUT_S,
    draw_seed: Callable[[], int] = lambda: secrets.randbelow(SEEDS),
    clock_s: Callable[[], float] = time.time,
) -> FastAPI:
    """The server as an ASGI application. It does not close the engine.

    `model_name`: what clients ask for; `api_key`: None for this machine's programs alone, at least 16 characters;
    `queue_places`: requests answered or waiting at a time; `body_timeout_s`: how long a body may take to come, since it
    holds a place meanwhile. RequestRefused for a key that is too short."""
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
        check_model(name, model_name)
        found: dict[str, Any] = models_body(model_name, started_s)["data"][0]
        return found

    completions = CompletionRoute(engine, queue, model_name, max_body_bytes, body_timeout_s, draw_seed, clock_s)
    app.router.routes.append(Route("/v1/chat/completions", completions, methods=["POST"]))
    return app


def bound_socket(host: str, port: int, *, has_key: bool) -> socket.socket:
    """A socket that listens at an address (port 0: any free one). RequestRefused when the address can be reached
    from other machines and there is no key, or when it cannot be had."""
    if not has_key and not is_local(host):
        problem = "can be reached by other machines, and the server has no key."
        raise RequestRefused(host, problem, "Give a key (--api-key-file), or stay at 127.0.0.1.")
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


async def _told(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InterleafError), "registered for these alone"
    status = status_of(error)
    if isinstance(error, ModelError) and status >= 500:
        _log.warning("%s: %s", error.code, error.message)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
    return JSONResponse(error_of(error), status, headers)


async def _told_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "registered for these alone"
    codes = {404: "not_found", 405: "method_not_allowed", 408: "body_too_slow", 413: "body_too_large"}
    said = str(error.detail)
    if error.status_code in (404, 405):
        said = "There is nothing here by this method and path. There are POST /v1/chat/completions and GET /v1/models."
    headers = dict(error.headers or {})
    if error.status_code in (408, 413):
        headers["Connection"] = "close"  # the rest of the body is not read
    return JSONResponse(
        error_body(error.status_code, said, codes.get(error.status_code, "refused")),
        error.status_code,
        headers,
    )


async def _told_unexpected(request: Request, error: Exception) -> JSONResponse:
    """Nothing of what went wrong inside leaves; the log has it, written by the framework."""
    return JSONResponse(error_body(500, "Something went wrong in the server; its log says what.", "internal"), 500)
