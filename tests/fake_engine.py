"""A fake engine with the real contract: its network is a hash of what was asked, or an answer that the test wrote.

Its vocabulary is the 256 bytes and an end; prompt, pictures, adapters and sampling all go through the hash, so that a
change of any of them changes the answer, and what else is in a batch cannot.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from interleaf.errors import ModelError, OutOfMemory, PromptInvalid, PromptTooLong, Unsupported
from model.inference.decoding import Growing, decode
from model.inference.engine import Piece, Request, Seen
from model.inference.grammar import GrammarCompiler
from model.inference.sampling import Chooser
from model.inference.streaming import Words
from model.network.config import ADAPTERS_OF_TASK
from model.prompts.picture import upright_rgb
from model.prompts.prompt import Part, PicturePlace, Plumbing, chat
from model.prompts.video import VideoComposite

END = 256
PICTURE_TOKENS = 16
LETTERS = b"abcdefghijklmnopqrstuvwxyz  "


class FakeEngine:
    """See model.inference.engine.Engine. `script`: what it answers to a request, None for the hash; `most_at_once`:
    more requests are out of memory; `broken`: what every request ends with. `asked` keeps the requests."""

    name = "fake"
    fingerprint = "fake-1"

    def __init__(
        self,
        script: Callable[[Request], str | None] = lambda request: None,
        *,
        context_length: int = 8_192,
        most_at_once: int | None = None,
        broken: ModelError | None = None,
    ) -> None:
        self._script, self._most, self._broken = script, most_at_once, broken
        self.context_length = context_length
        self.asked: list[Request] = []
        self._lock = threading.Lock()
        self._grammars = GrammarCompiler([bytes([i]) for i in range(256)], [END], END + 1)
        self.closed = False

    def generate(self, requests: Sequence[Request], canceled: Callable[[], bool] = lambda: False) -> Iterator[Piece]:
        if not requests:
            raise PromptInvalid("requests", "are none.", "Give one at least.")
        prompts = [self._prompt(request) for request in requests]
        for request, prompt in zip(requests, prompts, strict=True):
            whole = len(prompt) + request.sampling.max_new_tokens
            if whole > self.context_length:
                raise PromptTooLong(
                    "prompt", f"and answer have {whole} tokens of {self.context_length}.", "Ask for less."
                )
        growing = [
            Growing(
                i,
                request,
                Chooser(request.sampling, list(prompt)),
                Words(_text, request.stops),
                None if request.grammar is None else self._grammars.matcher(request.grammar),
                frozenset({END}),
            )
            for i, (request, prompt) in enumerate(zip(requests, prompts, strict=True))
        ]
        return self._pieces(list(requests), prompts, growing, canceled)

    def choose(self, request: Request, options: Sequence[str]) -> list[float]:
        if len(options) < 2 or len(set(options)) < len(options) or not all(options):
            raise PromptInvalid("options", f"are {list(options)!r}.", "Give two or more different ones, none empty.")
        row = _Row(self._prompt(request), self._answer(request))
        if self._broken is not None:
            raise self._broken
        with self._lock:
            self.asked.append(request)
            return [row.log_probability(option.encode()) for option in options]

    def count(self, request: Request) -> int:
        return len(self._prompt(request))

    def close(self) -> None:
        self.closed = True

    # Inside

    def _pieces(
        self,
        requests: list[Request],
        prompts: list[bytes],
        growing: list[Growing],
        canceled: Callable[[], bool],
    ) -> Iterator[Piece]:
        with self._lock:
            self.asked += requests
            if self._broken is not None:
                raise self._broken
            if self._most is not None and len(requests) > self._most:
                raise OutOfMemory("fake", f"has no room for {len(requests)} requests.", "Ask fewer at a time.")
            rows = [_Row(p, self._answer(r)) for r, p in zip(requests, prompts, strict=True)]
            yield from decode(_HashedSteps(rows), growing, canceled)

    def _prompt(self, request: Request) -> bytes:
        """The prompt as bytes: words, and 16 of its digest for each picture."""
        if request.task not in ADAPTERS_OF_TASK:
            raise Unsupported("task", f"{request.task!r} is not known.", f"Choose of {', '.join(ADAPTERS_OF_TASK)}.")
        prompt = chat(request.turns, system=request.system, answer_start=request.answer_start)
        seen = iter([_digest(picture, n) for n, picture in enumerate(request.pictures)])
        parts = prompt.with_pictures(len(request.pictures)).parts
        return b"".join(_part(part, seen) for part in parts)

    def _answer(self, request: Request) -> bytes | None:
        said = self._script(replace(request))
        return None if said is None else said.encode()


class _Row:
    """One request as its network sees it: everything that was said decides what comes next."""

    def __init__(self, prompt: bytes, script: bytes | None) -> None:
        self._hash = hashlib.sha256(prompt)
        self._said, self._script = bytearray(), script

    def take(self, token: int) -> None:
        self._said.append(token)
        self._hash.update(bytes([token]))

    def logits(self) -> Tensor:
        """(257,) float32: letters and blanks are likely, other text is not, the end grows likelier."""
        seed = int.from_bytes(self._hash.digest()[:8], "big")
        found = np.random.default_rng(seed).standard_normal(END + 1, dtype=np.float32)
        found[128:END] -= 40
        found[:32] -= 20
        found[list(LETTERS)] += 3
        found[END] += min(len(self._said), 60) / 8 - 2
        if self._script is not None:
            at = len(self._said)
            on_it = self._script.startswith(bytes(self._said))
            found[self._script[at] if on_it and at < len(self._script) else END] += 100
        return torch.from_numpy(found)

    def log_probability(self, text: bytes) -> float:
        """Of text as what comes next, on a copy."""
        copy, total = _Row(b"", self._script), 0.0
        copy._hash, copy._said = self._hash.copy(), bytearray(self._said)
        for byte in text:
            total += float(copy.logits().double().log_softmax(-1)[byte])
            copy.take(byte)
        return total


class _HashedSteps:
    """See model.inference.decoding.Steps."""

    def __init__(self, rows: list[_Row]) -> None:
        self._rows = rows

    def prefill(self) -> Tensor:
        return torch.stack([row.logits() for row in self._rows])

    def step(self, tokens: Sequence[int]) -> Tensor:
        for row, token in zip(self._rows, tokens, strict=True):
            row.take(token)
        return self.prefill()

    def keep(self, rows: Sequence[int]) -> None:
        self._rows = [self._rows[row] for row in rows]


def _part(part: Part, seen: Iterator[bytes]) -> bytes:
    if isinstance(part, PicturePlace):
        return next(seen)
    return (part.text if isinstance(part, Plumbing) else part).encode("utf-8", "replace")


def _digest(picture: Seen, number: int) -> bytes:
    image: Image.Image
    image = picture.image if isinstance(picture, VideoComposite) else upright_rgb(picture, f"picture {number}")
    out = io.BytesIO()
    image.save(out, "BMP")
    return hashlib.sha256(out.getvalue()).digest()[:PICTURE_TOKENS]


def _text(ids: list[int]) -> str:
    return bytes(ids).decode("utf-8", "replace")
