"""Completion route: `POST /v1/chat/completions`, from reading the body to the last byte of the answer.

One ASGI scope holds it all, so that whatever ends it gives the place in the queue back and stops the engine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from interleaf.errors import InterleafError, ModelMissing, shown
from model.inference.engine import Engine, Piece
from model.inference.engine import Request as Asked
from model.serving.completion_answer import CompletionAnswer, error_body, error_of, usage_of
from model.serving.completion_prompt import request_of
from model.serving.completion_request import ChatRequest, parsed
from model.serving.engine_queue import EngineQueue

__all__ = ["CompletionRoute", "check_model"]

_log = logging.getLogger(__name__)


class CompletionRoute:
    """The route as ASGI. InterleafError and HTTPException come out as long as nothing has been sent.

    `body_timeout_s`: how long a body may take to come, from its first byte to its last."""

    def __init__(
        self,
        engine: Engine,
        queue: EngineQueue,
        model_name: str,
        max_body_bytes: int,
        body_timeout_s: float,
        draw_seed: Callable[[], int],
        clock_s: Callable[[], float],
    ) -> None:
        self._engine, self._queue, self._model_name = engine, queue, model_name
        self._max_body_bytes, self._body_timeout_s = max_body_bytes, body_timeout_s
        self._draw_seed, self._clock_s = draw_seed, clock_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        with self._queue.place():
            try:
                body = await _body(Request(scope, receive), self._max_body_bytes, self._body_timeout_s)
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
        check_model(asked.model, self._model_name)
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
        await _send_event(error_of(error), send)
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


async def _body(request: Request, most_bytes: int, timeout_s: float) -> bytes:
    """The body, never more of it in memory than allowed. HTTPException 413 or 408."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said[:20]) > most_bytes:
        raise HTTPException(413, f"The body has more than {most_bytes:,} bytes.")
    data = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                data += chunk
                if len(data) > most_bytes:
                    raise HTTPException(413, f"The body has more than {most_bytes:,} bytes.")
    except TimeoutError:
        raise HTTPException(408, f"The body did not come within {timeout_s:g} s.") from None
    return bytes(data)


async def _gone(receive: Receive) -> None:
    """Ends when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def check_model(name: str, served: str) -> None:
    """ModelMissing when a client asks for another model than the served one."""
    if name != served:
        raise ModelMissing(shown(name), f"is not served here; {served} is.", "Ask for that one.")
