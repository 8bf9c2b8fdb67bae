"""Selecting: which candidates a model is shown for a place, and what it has seen of the piece until there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.context import Candidate, ChooseTask, Embedder
from agents.placing.anchoring import anchored_slot
from agents.prompting.mind import Shown
from agents.words.similarity import block_text

__all__ = ["Shortlist", "Window", "groups"]

# The family was taught to choose among four: so many of the library's, and so many at a time.
OPTIONS = 4
# Of a person's own pictures as many are looked at for a place, four at a time.
MAX_LOOKED_AT = 12
MAX_TEXT_CHARS = 2_000
# A document that shows a picture at a place has said where it belongs.
ANCHOR_BONUS = 1.0
# Text that a choice is shown of what stands before it. When it is passed, the older half is let go at once, so that
# questions one after another begin alike for long.
MAX_BEFORE_CHARS = 6_000
MAX_BEFORE_PICTURES = 6


class Shortlist:
    """Ranks the candidates of a place by words: the library's score, or the likeness of what is said of a picture to
    what stands around the place."""

    def __init__(self, task: ChooseTask, embedder: Embedder) -> None:
        self._task = task
        self._texts = [block_text(block)[:MAX_TEXT_CHARS] for block in task.blocks]
        self._anchors = [None if c.anchor is None else anchored_slot(c.anchor, task.blocks) for c in task.candidates]
        self._likeness: NDArray[np.float64] | None = None
        self._embedder = embedder

    def of(self, slot: int, used: Iterable[str]) -> tuple[Candidate, ...]:
        """The candidates to be shown for a slot, the most promising first; () when none is left."""
        taken = frozenset(used)
        left = [
            k
            for k, candidate in enumerate(self._task.candidates)
            if candidate.picture.id not in taken and (candidate.origin != "library" or slot in candidate.library_scores)
        ]
        given = [k for k in left if self._task.candidates[k].origin != "library"]
        found = [k for k in left if self._task.candidates[k].origin == "library"]
        if len(given) > MAX_LOOKED_AT or len(found) > OPTIONS:
            scores = self._scores(slot)
            ranked = sorted(left, key=lambda k: (-scores[k], self._task.candidates[k].picture.id))
            given = [k for k in ranked if self._task.candidates[k].origin != "library"][:MAX_LOOKED_AT]
            found = [k for k in ranked if self._task.candidates[k].origin == "library"][:OPTIONS]
        return tuple(self._task.candidates[k] for k in (*given, *found))

    def _scores(self, slot: int) -> list[float]:
        likeness = self._around(slot)
        return [
            likeness[k]
            + max(0.0, candidate.library_scores.get(slot, 0.0))
            + (ANCHOR_BONUS if self._anchors[k] == slot else 0.0)
            for k, candidate in enumerate(self._task.candidates)
        ]

    def _around(self, slot: int) -> list[float]:
        """Cosine of each candidate's words with the blocks around the slot; a picture without words gets the mean."""
        if self._likeness is None:
            words = [candidate.picture.words[:MAX_TEXT_CHARS] for candidate in self._task.candidates]
            vectors = np.asarray(self._embedder.encode([*self._texts, *words]), dtype=np.float64)
            table = vectors[len(self._texts) :] @ vectors[: len(self._texts)].T  # (K, blocks)
            silent = np.array([not word.strip() for word in words])
            if silent.any() and not silent.all():
                table[silent] = table[~silent].mean(axis=0)
            self._likeness = table
        near = [k for k in (slot - 1, slot) if 0 <= k < len(self._texts)]
        found: list[float] = self._likeness[:, near].max(axis=1).tolist() if near else [0.0] * len(self._likeness)
        return found


def groups(count: int) -> list[range]:
    """Places of `count` candidates in as few groups as there can be, none of more than four, all about as large."""
    parts = -(-count // OPTIONS)
    return [range(count * k // parts, count * (k + 1) // parts) for k in range(parts)]


class Window:
    """Text and chosen pictures before a place, as much as a choice is shown. Places are asked for in reading order."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [text[:MAX_TEXT_CHARS] for text in texts]
        self._first = 0

    def before(self, slot: int, chosen: Mapping[int, str]) -> tuple[str | Shown, ...]:
        """What stands before `slot`; `chosen`: slot → picture, of the places before."""
        if not self._fits(slot, chosen, MAX_BEFORE_CHARS, MAX_BEFORE_PICTURES):
            while self._first < slot - 1 and not self._fits(
                slot, chosen, MAX_BEFORE_CHARS // 2, MAX_BEFORE_PICTURES // 2
            ):
                self._first += 1
        return self._parts(slot, chosen)

    def shorten(self, slot: int) -> bool:
        """Let go of the older half of what stands before `slot`; False when there is nothing to let go."""
        if self._first >= slot - 1:
            return False
        self._first += max(1, (slot - self._first) // 2)
        return True

    def _parts(self, slot: int, chosen: Mapping[int, str]) -> tuple[str | Shown, ...]:
        parts: list[str | Shown] = []
        for k in range(self._first, slot + 1):
            if k in chosen and k < slot and k > self._first:
                parts.append(Shown(chosen[k]))
            if k < slot and k < len(self._texts):
                parts.append(self._texts[k])
        return tuple(parts)

    def _fits(self, slot: int, chosen: Mapping[int, str], chars: int, pictures: int) -> bool:
        parts = self._parts(slot, chosen)
        shown = sum(isinstance(part, Shown) for part in parts)
        return shown <= pictures and sum(len(part) for part in parts if isinstance(part, str)) <= chars
