"""Decoding: the loop that makes answers grow, one token for each request at a time.

Whatever runs the network hands over the logits of a step and takes the chosen tokens; choosing, ending, streaming and
keeping to a grammar are the same for all. Letters: B requests that still run, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from model.inference.engine import Finish, Piece, Request
from model.inference.sampling import Chooser, greedy
from model.inference.streaming import Words

__all__ = ["Growing", "Matcher", "Steps", "alike", "choose_tokens", "decode"]


class Steps(Protocol):
    """A network at work on several prompts. Rows are the requests that still run, in their order."""

    def prefill(self) -> Tensor:
        """(B, V) float32 logits after the prompts."""

    def step(self, tokens: Sequence[int]) -> Tensor:
        """(B, V) float32 logits after one more token for each row."""

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows go on."""


class Matcher(Protocol):
    """An answer's grammar while the answer grows."""

    @property
    def finished(self) -> bool:
        """Whether nothing more may follow."""

    def allow(self, logits: Tensor) -> None:
        """Rule out, in place, what may not come next in (V,) logits."""

    def accept(self, token: int) -> None:
        """Take note of the chosen token."""


@dataclass
class Growing:
    """One request while its answer grows. `ends`: ids that end a turn."""

    number: int
    request: Request
    chooser: Chooser
    words: Words
    matcher: Matcher | None
    ends: frozenset[int]
    tokens: int = 0

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is all that is wanted, so that rows can be chosen together."""
        sampling = self.request.sampling
        return self.matcher is None and not sampling.do_sample and sampling.repetition_penalty == 1.0

    def take(self, token: int) -> Piece:
        """The piece that a chosen token makes; its `finish` says whether it was the last."""
        self.tokens += 1
        finish: Finish | None = None
        text = ""
        if token in self.ends:
            finish = "stop"
        else:
            if self.matcher is not None:
                self.matcher.accept(token)
            text = self.words.add(token)
            if self.words.stopped or (self.matcher is not None and self.matcher.finished):
                finish = "stop"
            elif self.tokens >= self.request.sampling.max_new_tokens:
                finish = "length"
        if finish is not None:
            text += self.words.rest()
        return Piece(self.number, text, 1, finish)

    def cut_off(self) -> Piece:
        """The last piece of an answer that nobody waits for any more."""
        return Piece(self.number, self.words.rest(), 0, "canceled")


def decode(steps: Steps, growing: Sequence[Growing], canceled: Callable[[], bool]) -> Iterator[Piece]:
    """Pieces of all answers as they come; rows that have ended leave the batch."""
    running = list(growing)
    logits: Tensor | None = None
    chosen: list[int] = []
    while running:
        if canceled():
            for one in running:
                yield one.cut_off()
            return
        logits = steps.prefill() if logits is None else steps.step(chosen)
        chosen = choose_tokens(logits, running)
        going: list[int] = []
        for row, (one, token) in enumerate(zip(running, chosen, strict=True)):
            piece = one.take(token)
            if piece.finish is None:
                going.append(row)
            if piece.text or piece.finish is not None or piece.tokens:
                yield piece
        if len(going) < len(running):
            running, chosen = [running[row] for row in going], [chosen[row] for row in going]
            if running:
                steps.keep(going)


def choose_tokens(logits: Tensor, running: Sequence[Growing]) -> list[int]:
    """One token for each row. Where all want the likeliest, they are found together: one wait for the device."""
    if all(one.plain for one in running):
        found: list[int] = greedy(logits).tolist()
        return found
    tokens = []
    for row, one in zip(logits.cpu(), running, strict=True):
        if one.matcher is not None:
            one.matcher.allow(row)
        tokens.append(one.chooser.choose(row))
    return tokens


def alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids both begin with, one at least left to `other`."""
    end = max(0, min(len(one), len(other) - 1))
    if one[:end] == other[:end]:  # mostly so, and known a hundred times as quickly
        return end
    count = 0
    while count < end and one[count] == other[count]:
        count += 1
    return count
