"""Topic: where a new one begins in text that has no headings.

A logistic model with a few weights (agents/outlining/topic.json, trained by evals/train_topic.py) turns the measures
of each gap into one score; the number of boundaries grows slowly with the length of the text, as it does in
articles that people wrote: twice the blocks are far from twice the sections.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from agents.context import Embedder
from agents.outlining.gap import MEASURES, Passage, Table, measure_gaps
from agents.words.phrase import PhraseFinder

__all__ = ["Boundary", "TopicModel", "boundary_gaps", "load_topic_model", "segment"]

# The dynamic programme's tables are square; a longer text is cut into parts of this size first.
MAX_BLOCKS = 1_200
MIN_BLOCKS = 4  # shorter texts are one topic


@dataclass(frozen=True)
class Boundary:
    """A heading belongs before block `k`. `level` as in an outline: 2 is a section."""

    k: int
    level: int
    heading: str


@dataclass(frozen=True)
class TopicModel:
    """Weights over the standardised measures, and how many boundaries a text of N blocks has:
    `boundaries_at_20_blocks * (N / 20) ** growth`."""

    means: Table
    spreads: Table
    weights: Table
    boundaries_at_20_blocks: float
    growth: float

    def score(self, measures: Table) -> Table:
        """(N - 1,) how much speaks for a boundary at each gap; only the order means something."""
        scores: Table = ((measures - self.means) / self.spreads) @ self.weights
        return scores

    def count(self, blocks: int) -> int:
        """The number of boundaries of a text of that many blocks."""
        wanted = self.boundaries_at_20_blocks * (blocks / 20) ** self.growth
        rounded: int = math.floor(wanted + 0.5)
        return max(1, min(rounded, blocks // 2))


@cache
def load_topic_model() -> TopicModel:
    """The trained model that ships with the workflow."""
    record = json.loads(Path(__file__).with_name("topic.json").read_text(encoding="utf-8"))
    table = {row["measure"]: row for row in record["measures"]}
    return TopicModel(
        means=np.array([table[name]["mean"] for name in MEASURES]),
        spreads=np.array([table[name]["spread"] for name in MEASURES]),
        weights=np.array([table[name]["weight"] for name in MEASURES]),
        boundaries_at_20_blocks=float(record["boundaries_at_20_blocks"]),
        growth=float(record["growth"]),
    )


def boundary_gaps(
    blocks: Sequence[Passage], embedder: Embedder, model: TopicModel | None = None, most: int | None = None
) -> tuple[int, ...]:
    """The indices of the blocks before which a new topic begins, in order; never 0. At most `most`, if given."""
    if len(blocks) < MIN_BLOCKS:
        return ()
    model = model or load_topic_model()
    if len(blocks) > MAX_BLOCKS:
        parts = -(-len(blocks) // MAX_BLOCKS)
        edges = [round(len(blocks) * p / parts) for p in range(parts + 1)]
        found: list[int] = []
        for low, high in pairwise(edges):
            found += [low] * (low > 0) + [low + k for k in boundary_gaps(blocks[low:high], embedder, model)]
        return tuple(found if most is None else found[:most])
    scores = model.score(measure_gaps(blocks, embedder))
    wanted = model.count(len(blocks)) if most is None else min(most, model.count(len(blocks)))
    # Equal scores: the earlier gap, so that the result never depends on the sort's whims.
    order = sorted(range(len(scores)), key=lambda i: (-round(float(scores[i]), 9), i))
    return tuple(sorted(i + 1 for i in order[:wanted]))


def segment(blocks: Sequence[Passage], title: str, language: str, embedder: Embedder) -> tuple[Boundary, ...]:
    """Where headings belong in a text without any, and what they would say: a phrase of the segment that
    follows, in the text's own words. The first segment needs no heading: it opens the piece."""
    gaps = boundary_gaps(blocks, embedder)
    texts = [block.text for block in blocks if block.kind != "code"]
    finder = PhraseFinder(texts, language)
    edges = (0, *gaps, len(blocks))
    used: list[str] = [title]
    found = []
    for low, high in pairwise(edges[1:]):
        own = [block.text for block in blocks[low:high] if block.kind != "code"]
        heading = finder.find(own, avoid=used)
        used.append(heading.text)
        found.append(Boundary(k=low, level=2, heading=heading.text))
    return tuple(found)
