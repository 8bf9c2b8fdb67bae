"""A server in a thread, an engine that says back what it is asked, and what clients send it."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import openai
import uvicorn
from PIL import Image

from interleaf.errors import OutOfMemory, PromptTooLong
from model.inference.engine import Engine, Piece, Request
from model.serving.server import bound_socket, create_app


@dataclass
class SayingEngine:
    """Says back what it was asked, a word at a time; keeps the requests. `hold` makes it wait before each word."""

    asked: list[Request] = field(default_factory=list)
    hold: threading.Event | None = None
    fails_after: int | None = None
    made: int = 0
    ended: list[str] = field(default_factory=list)
    name: str = "saying"
    fingerprint: str = "f" * 64
    context_length: int = 100

    def count(self, request: Request) -> int:
        words = [p for turn in request.turns for part in turn.parts if isinstance(part, str) for p in part.split()]
        if len(words) > self.context_length:
            raise PromptTooLong("prompt", f"has {len(words)} tokens of {self.context_length}.", "Shorten it.")
        return len(words) + 10 * len(request.pictures)

    def generate(self, requests: Sequence[Request], canceled: Callable[[], bool] = lambda: False) -> Iterator[Piece]:
        (request,) = requests
        self.asked.append(request)
        words = "".join(part for part in request.turns[-1].parts if isinstance(part, str)).split()
        if request.grammar is not None:
            words = ["{}"] if request.grammar.json_schema == {"type": "object"} else ['{"town":', '"Ely"}']
        if words == ["forever"]:
            words = ["on"] * 100_000
        for number, word in enumerate(words):
            if self.hold is not None:
                self.hold.wait(0.02)
            if canceled():
                self.ended.append("canceled")
                yield Piece(0, "", 0, "canceled")
                return
            if number == self.fails_after:
                raise OutOfMemory("cpu", "is full.", "Ask for less at a time.")
            if word in request.stops:
                break
            if number == request.sampling.max_new_tokens:
                self.ended.append("length")
                yield Piece(0, "", 0, "length")
                return
            self.made += 1
            yield Piece(0, word if not number else f" {word}", 1)
        self.ended.append("stop")
        yield Piece(0, "", 0, "stop")

    def choose(self, request: Request, options: Sequence[str]) -> list[float]:
        return [0.0] * len(options)

    def close(self) -> None:
        return None


@contextmanager
def served(engine: Engine, **options: Any) -> Iterator[str]:
    """The address of a server that runs in a thread."""
    app = create_app(engine, model_name="tiny", draw_seed=lambda: 77, clock_s=lambda: 1_000.0, **options)
    with bound_socket("127.0.0.1", 0, has_key=False) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            until(lambda: server.started)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def client_of(address: str, key: str = "any") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=20)


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def picture(colour: str = "red") -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "did not happen in 10 s"
        time.sleep(0.01)
