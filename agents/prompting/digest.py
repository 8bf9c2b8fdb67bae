"""Digest: what of the sources a model is shown: all of it where there is room, else the passages most to the point.

Passages are whole blocks in reading order, so that what stands in a digest stands so in a source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.context import Embedder
from agents.notes.block import SourceBlock
from agents.notes.document import read_document
from agents.words.relevance import block_text, relevance
from interleaf.schema import SourceText

__all__ = ["Excerpt", "digest"]

# Of more blocks than this, the first are weighed; a digest never holds nearly as many.
MAX_BLOCKS = 20_000


@dataclass(frozen=True)
class Excerpt:
    """What is shown of one source. `is_whole`: nothing of it was left out."""

    name: str
    text: str
    is_whole: bool


def digest(sources: Sequence[SourceText], subject: str, budget_chars: int, embedder: Embedder) -> tuple[Excerpt, ...]:
    """Excerpts of the sources, in their order, of at most `budget_chars` characters together.

    `subject`: what the piece is about, for choosing passages when there is no room for all."""
    whole = [(source, source.text.strip()) for source in sources]
    if sum(len(text) for _, text in whole) <= budget_chars:
        return tuple(Excerpt(source.name, text, True) for source, text in whole if text)
    blocks: list[tuple[int, SourceBlock]] = [
        (number, block)
        for number, source in enumerate(sources)
        for block in read_document(source).blocks
        if block.kind != "image" and block.text.strip()
    ][:MAX_BLOCKS]
    scores = relevance(subject, [block_text(block) for _, block in blocks], embedder)
    taken: set[int] = set()
    left = budget_chars
    for k in np.argsort(-scores, kind="stable").tolist():
        heading = _heading_above(blocks, k)
        cost = len(blocks[k][1].text) + 2
        if heading is not None and heading not in taken:
            cost += len(blocks[heading][1].text) + 2
        if blocks[k][1].kind == "heading" or cost > left:
            continue
        taken.add(k)
        if heading is not None:
            taken.add(heading)
        left -= cost
    found = []
    for number, source in enumerate(sources):
        parts = [blocks[k][1].text.strip() for k in sorted(taken) if blocks[k][0] == number]
        if parts:
            found.append(Excerpt(source.name, "\n\n".join(parts), False))
    return tuple(found)


def _heading_above(blocks: Sequence[tuple[int, SourceBlock]], k: int) -> int | None:
    """The nearest heading above block `k` in its source."""
    for above in range(k - 1, -1, -1):
        if blocks[above][0] != blocks[k][0]:
            return None
        if blocks[above][1].kind == "heading":
            return above
    return None
