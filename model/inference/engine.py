"""Engine: the contract of a model that answers. Requests of words and pictures in, pieces of text out.

Kept by the native XComposer, by any chat model that transformers loads, and by the fake of the tests; proved by
tests/contracts/engine.py:
- pieces of a request come in order, and the last one says why it ended;
- greedy answers do not depend on what else is in the batch; the same seed gives the same text, and no global random
  state is touched;
- when `canceled` says so, no further token is made;
- an answer under a grammar always fits it, unless it was cut short, which its last piece says;
- what a model says is data: nothing here reads it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, runtime_checkable

from interleaf.errors import PromptInvalid
from model.network.config import Task
from model.prompts.picture import PictureSource
from model.prompts.prompt import PicturePlace, Turn
from model.prompts.video import VideoComposite

__all__ = ["Answer", "Engine", "Finish", "Grammar", "Piece", "Request", "Sampling", "gathered"]

Finish = Literal["stop", "length", "canceled"]
Seen = PictureSource | VideoComposite

MAX_NEW_TOKENS: Final = 1_024
MAX_STOPS: Final = 16


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen, under the names of transformers. The default is greedy.

    `seed` belongs to the request alone: the same seed gives the same text, whatever else runs."""

    max_new_tokens: int = MAX_NEW_TOKENS
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        checks = (
            ("max_new_tokens", self.max_new_tokens >= 1, "at least 1"),
            ("temperature", math.isfinite(self.temperature) and 0 < self.temperature <= 100, "above 0, at most 100"),
            ("top_k", self.top_k >= 0, "0 (all) or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0, at most 1"),
            ("repetition_penalty", 0 < self.repetition_penalty <= 10, "above 0, at most 10"),
            ("seed", 0 <= self.seed < 2**63, "0 to 2^63 - 1"),
        )
        for name, fits, remedy in checks:
            if not fits:
                raise PromptInvalid(name, f"is {getattr(self, name)!r}.", f"Give a number: {remedy}.")


@dataclass(frozen=True)
class Grammar:
    """The form of an answer: a JSON schema, or a context-free grammar in EBNF (with a rule `root`). One of the two."""

    json_schema: Mapping[str, Any] | None = None
    ebnf: str | None = None

    def __post_init__(self) -> None:
        if (self.json_schema is None) == (self.ebnf is None):
            raise PromptInvalid("grammar", "needs a JSON schema or an EBNF, and not both.", "Give one of the two.")


@dataclass(frozen=True)
class Request:
    """One question. `turns` alternate and end with the user's; `pictures` fill their places in order (a single one
    without a place comes before everything).

    `system`: what the model is told first; `answer_start`: words with which the answer begins, which are not said
    again; `stops`: texts at which the answer ends, left out of it; `task`: whose adapters act (engines without
    adapters know `base` alone); `partition`: the budget of tiles by name, None for the model's own choice."""

    turns: tuple[Turn, ...]
    pictures: tuple[Seen, ...] = ()
    system: str = ""
    answer_start: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    stops: tuple[str, ...] = ()
    grammar: Grammar | None = None
    task: Task = "base"
    partition: str | None = None

    def __post_init__(self) -> None:
        if len(self.stops) > MAX_STOPS or not all(self.stops):
            raise PromptInvalid("stops", f"are {len(self.stops)}, or one is empty.", f"Give at most {MAX_STOPS}.")

    @classmethod
    def ask(cls, words: str, pictures: Sequence[Seen] = (), **more: Any) -> Request:
        """A single question about pictures, which stand before the words."""
        places = tuple(PicturePlace() for _ in pictures)
        return cls(turns=(Turn("user", (*places, words)),), pictures=tuple(pictures), **more)


@dataclass(frozen=True)
class Piece:
    """What was added to the answer of request number `request`: `text`, made of `tokens` new tokens (0 is possible
    where a character is not whole yet, as is text held back because a stop may begin in it).

    `finish` on the last piece: `stop` (ended by itself, by a stop or by its grammar), `length`, `canceled`."""

    request: int
    text: str
    tokens: int = 0
    finish: Finish | None = None


@dataclass(frozen=True)
class Answer:
    """All pieces of a request together."""

    text: str
    tokens: int
    finish: Finish


@runtime_checkable
class Engine(Protocol):
    """A model that answers. One caller at a time; further ones wait.

    Errors: PromptInvalid, PromptTooLong, PictureUnreadable for what was asked; Unsupported for what this model cannot
    do; ModelError (OutOfMemory is retryable with fewer requests at a time) for what went wrong in it."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def fingerprint(self) -> str:
        """Of weights and everything that decides an answer, for the run record."""

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and answer together."""

    def generate(self, requests: Sequence[Request], canceled: Callable[[], bool] = lambda: False) -> Iterator[Piece]:
        """Answers of all requests, side by side, as they grow. `canceled` is asked before each token."""

    def choose(self, request: Request, options: Sequence[str]) -> list[float]:
        """Log-probability of each option (whole, not only its first token) as the answer, in the order given, by
        one forward over the prompt. At least two options, distinct, none empty."""

    def count(self, request: Request) -> int:
        """How many tokens the prompt has, its pictures included, without running the model."""

    def close(self) -> None:
        """Let go of the model."""


def gathered(pieces: Iterator[Piece], requests: int) -> list[Answer]:
    """The answers, one for each of so many requests, when all have ended."""
    texts: list[list[str]] = [[] for _ in range(requests)]
    tokens, finishes = [0] * requests, dict[int, Finish]()
    for piece in pieces:
        texts[piece.request].append(piece.text)
        tokens[piece.request] += piece.tokens
        if piece.finish is not None:
            finishes[piece.request] = piece.finish
    return [Answer("".join(texts[i]), tokens[i], finishes[i]) for i in range(requests)]
