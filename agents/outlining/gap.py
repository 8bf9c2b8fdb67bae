"""Gap: the place between two blocks, and what speaks for or against a new topic there.

`topic_votes` is global: the text is cut into 2, 3, 4, … segments, each time so that the blocks of a segment
are as alike as possible (dynamic programme), and a gap gets a vote from each cutting that cuts there. The
other measures are local and made of layout alone, so that they mean the same in every language.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.context import Embedder
from agents.notes.inline import plain_text
from agents.words.lexicon import build_lexicon
from interleaf.text import is_cjk

__all__ = ["MEASURES", "Passage", "measure_gaps", "topic_votes"]

Table = NDArray[np.float64]

# A block shorter than this is a label or a transition. A Chinese or Japanese character counts twice.
SHORT_CHARS = 80
MAX_SEGMENTS = 48
MAX_TEXT_CHARS = 2_000  # what an encoder reads of a block at most

MEASURES = (
    "topic_votes",
    "short_before",
    "open_end_after",
    "colon_before",
    "colon_after",
    "first_gap",
    "code_before",
    "code_after",
)

_ENDS = (".", "!", "?", "。", "！", "？", "．", '"', "”", "’", "」", "』", "）", ")", "…", "*", "_", "`")
_COLONS = (":", "：")


class Passage(Protocol):
    """A block as topics are found in it: any value with a kind and a text (inline Markdown allowed)."""

    @property
    def kind(self) -> str: ...

    @property
    def text(self) -> str: ...


def measure_gaps(blocks: Sequence[Passage], embedder: Embedder) -> Table:
    """(N - 1, M) the measures, in the order of MEASURES, of the gap before each block but the first."""
    texts = [b.text if b.kind in ("list", "code") else plain_text(b.text) for b in blocks]
    read = [plain_text(b.text)[:MAX_TEXT_CHARS] for b in blocks]
    votes = topic_votes(read, embedder)
    spread = votes.std()
    rows = []
    for k in range(1, len(blocks)):
        before, after = texts[k - 1].rstrip(), texts[k].rstrip()
        rows.append(
            (
                (votes[k - 1] - votes.mean()) / spread if spread > 1e-9 else 0.0,
                float(_width(before) < SHORT_CHARS),
                float(blocks[k].kind == "paragraph" and not after.endswith(_ENDS)),
                float(before.endswith(_COLONS)),
                float(after.endswith(_COLONS)),
                float(k == 1),
                float(blocks[k - 1].kind == "code"),
                float(blocks[k].kind == "code"),
            )
        )
    return np.array(rows, dtype=np.float64).reshape(len(blocks) - 1, len(MEASURES))


def topic_votes(texts: Sequence[str], embedder: Embedder) -> Table:
    """(N - 1,) share of the cuttings that cut at each gap, 0..1; a cutting into m segments weighs 1/m."""
    n = len(texts)
    votes = np.zeros(max(0, n - 1))
    if n < 3:
        return votes
    vectors = np.asarray(embedder.encode(texts), dtype=np.float64)
    alike = _centred(vectors @ vectors.T) + _centred(build_lexicon(texts, min_texts=2).gram())
    costs = _segment_costs(alike)
    most = min(max(3, n // 2), n, MAX_SEGMENTS)
    best = costs[0]  # best[j]: the least cost of blocks[:j] in m segments
    back = np.zeros((most + 1, n + 1), dtype=np.int64)
    total = 0.0
    for m in range(2, most + 1):
        through = best[:, None] + costs
        back[m] = through.argmin(axis=0)
        best = through[back[m], np.arange(n + 1)]
        total += 1 / m
        j = n
        for step in range(m, 1, -1):
            j = int(back[step, j])
            votes[j - 1] += 1 / m
    return votes / total


def _centred(gram: Table) -> Table:
    """Inner products after the mean is taken off, scaled so that the average block has length 1."""
    rows = gram.mean(axis=1)
    gram = gram - rows[:, None] - rows[None, :] + gram.mean()
    size = float(np.trace(gram)) / len(gram)
    return gram / size if size > 1e-9 else np.zeros_like(gram)


def _segment_costs(gram: Table) -> Table:
    """(N + 1, N + 1) scatter of blocks[i:j] around their mean; infinite where i >= j."""
    n = len(gram)
    sums = np.zeros((n + 1, n + 1))
    sums[1:, 1:] = gram.cumsum(axis=0).cumsum(axis=1)
    diagonal = np.concatenate([[0.0], np.cumsum(np.diag(gram))])
    corner = np.diag(sums)
    inside = corner[None, :] - sums - sums.T + corner[:, None]
    length = np.arange(n + 1)[None, :] - np.arange(n + 1)[:, None]
    costs = diagonal[None, :] - diagonal[:, None] - inside / np.maximum(length, 1)
    return np.where(length > 0, np.maximum(costs, 0.0), np.inf)


def _width(text: str) -> int:
    return len(text) * (2 if is_cjk(text) else 1)
