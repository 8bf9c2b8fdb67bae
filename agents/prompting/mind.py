"""Mind: a language model with eyes as the workflow sees it: questions of words and pictures in, answers out.

`agents/` knows no torch: `workers/run/mind.py` puts an engine behind this Protocol. What a mind answers is data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

__all__ = ["Ask", "Family", "Mind", "Misread", "Reply", "Shown"]

# `xcomposer`: asked in the forms that the InternLM-XComposer family was taught; `chat`: any other chat model.
Family = Literal["xcomposer", "chat"]


@dataclass(frozen=True)
class Shown:
    """A picture of the run, shown where it stands in a question. The id is one that the workflow was given."""

    picture_id: str


@dataclass(frozen=True)
class Misread:
    """An earlier answer to the same question that could not be read, and what is wrong with it."""

    answer: str
    problem: str


@dataclass(frozen=True)
class Ask:
    """One question. `parts`: words and pictures in their order; words are data, whatever they spell.

    `max_tokens`: most tokens of the answer. `answer_start`: words with which the answer begins, which it does not
    say again. `stops`: texts at which it ends. `json_schema` or `ebnf`: the form that it must have. `freely`: drawn by
    chance from `seed`, else the likeliest words. `work`: `write` lets a model's adapters for writing act.
    `misread`: what was answered before and could not be read."""

    parts: tuple[str | Shown, ...]
    max_tokens: int
    system: str = ""
    answer_start: str = ""
    stops: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    ebnf: str | None = None
    freely: bool = False
    seed: int = 0
    work: Literal["write", "judge"] = "judge"
    misread: tuple[Misread, ...] = ()


@dataclass(frozen=True)
class Reply:
    """An answer; `is_cut` when it was ended by `max_tokens` and not by itself."""

    text: str
    is_cut: bool = False


@runtime_checkable
class Mind(Protocol):
    """A model that answers. Threads may ask at the same time: what they ask is answered side by side.

    Errors are those of interleaf.errors: PromptTooLong, PictureUnreadable, Unsupported, ModelError, RunCanceled."""

    @property
    def name(self) -> str:
        """The model's name, its adapter included."""

    @property
    def fingerprint(self) -> str:
        """Of everything that decides an answer."""

    @property
    def family(self) -> Family:
        """How it wants to be asked."""

    @property
    def context_length(self) -> int:
        """Most tokens of question and answer together."""

    def answer(self, asks: Sequence[Ask]) -> list[Reply]:
        """The answers to all, in their order, worked out side by side."""

    def choose(self, ask: Ask, options: Sequence[str]) -> list[float]:
        """Log-probability of each option as the whole answer, by looking once. Two options at least."""

    def count(self, ask: Ask) -> int:
        """Tokens of the question, its pictures included."""
