"""Fusion: one score for a picture from what words, text vectors and pixel vectors say of it.

    score = (words + 0.5 · latin · (sentence + whole) / 2 + 0.4 · pixels + 0.2 · kin) / the weights that applied

`words` is the TF-IDF score; `sentence` the cosine of the nearest sentence around the place, `whole` that of
all words around it; `latin` the share of Latin letters, for an encoder that knows English only (1 for others);
`kin` how much a caption has in common with those of the three best pictures so far: pictures of one subject are
found together. Why these and what else was tried: docs/decisions/0006-fusion.md. Letters: N pictures.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import numpy as np

from interleaf.schema import PictureQuery
from interleaf.text import fold_space
from retrieval.vectors.lexical import WeighedTexts
from retrieval.vectors.nearest import Numbers, Vectors

__all__ = [
    "KIN",
    "KIN_WEIGHT",
    "PIXEL_WEIGHT",
    "VECTOR_WEIGHT",
    "fused",
    "kin_weights",
    "latin_share",
    "pixel_evidence",
    "said",
    "sentences",
    "whole",
]

VECTOR_WEIGHT: Final = 0.5
PIXEL_WEIGHT: Final = 0.4
KIN_WEIGHT: Final = 0.2
KIN: Final = 3
# The block before a place weighs double: authors put a picture after what speaks of it.
FIELD_WEIGHTS: Final = (("text", 2.0), ("before", 2.0), ("after", 1.0), ("heading", 1.0), ("title", 1.0))
MAX_FIELD_CHARS: Final = 6_000
MAX_SENTENCES: Final = 24
_LAST_LATIN: Final = 0x24F
# A sentence's end: a mark and white space, a CJK mark, or a line's end. Windows for matching, no more.
_END: Final = re.compile(r"(?<=[.!?…][\s\"'”’)\]])\s*|(?<=[。！？｡])|\n+")


def said(query: PictureQuery) -> WeighedTexts:
    """The query's words with the weights of their fields."""
    fields = ((_cut(getattr(query, name)), weight) for name, weight in FIELD_WEIGHTS)
    return WeighedTexts(tuple((text, weight) for text, weight in fields if text))


def whole(query: PictureQuery) -> str:
    """All words around the place as one text, the most general first."""
    parts = (query.text, query.title, query.heading, _cut(query.before), _cut(query.after))
    return "\n".join(part for part in (fold_space(_cut(p)) for p in parts) if part)


def sentences(query: PictureQuery) -> tuple[str, ...]:
    """The sentences of a person's own words and of the two blocks beside the place; at most 24, nearest first."""
    own, after = _split(query.text), _split(query.after)
    before = _split(query.before)[::-1]
    return tuple(dict.fromkeys([*own, *_alternating(before, after)]))[:MAX_SENTENCES]


def latin_share(text: str) -> float:
    """Share of the letters that are Latin, 0..1."""
    letters = [ord(c) for c in unicodedata.normalize("NFC", text) if c.isalpha()]
    return sum(code <= _LAST_LATIN for code in letters) / len(letters) if letters else 0.0


def fused(words: Vectors, vectors: Vectors, latin: float, pixels: Vectors | None, kin: Vectors | None) -> Vectors:
    """(N,) scores in 0..1; `kin` None: before the best are known."""
    total, weight = words + VECTOR_WEIGHT * latin * np.maximum(vectors, 0), 1 + VECTOR_WEIGHT * latin
    if pixels is not None:
        total, weight = total + PIXEL_WEIGHT * pixels, weight + PIXEL_WEIGHT
    if kin is not None:
        total = total + KIN_WEIGHT * kin
    return np.asarray(np.clip(total / (weight + KIN_WEIGHT), 0, 1), dtype=np.float32)


def kin_weights(scores: Vectors, numbers: Numbers) -> tuple[Numbers, Vectors]:
    """(positions of the three best, their weights, which add up to 1): the clearly best one weighs most."""
    order = np.lexsort((numbers, -scores))[:KIN].astype(np.int64)
    weight = np.square(scores[order])
    return order, np.asarray(weight / max(float(weight.sum()), 1e-9), dtype=np.float32)


def pixel_evidence(cosines: Vectors, seen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Vectors:
    """(N,) 0..1 from cosines of a query with pictures; 0 where a picture was not `seen` by the pixel encoder.

    Cosines between a text and pictures differ little and around a mean of their own for each encoder, so they
    count by where they lie between the median of the candidates and the best of them."""
    if not seen.any():
        return np.zeros(len(cosines), np.float32)
    middle, top = float(np.median(cosines[seen])), float(cosines[seen].max())
    spread = max(top - middle, 1e-6)
    return np.asarray(np.where(seen, np.clip((cosines - middle) / spread, 0, 1), 0), dtype=np.float32)


def _cut(text: str) -> str:
    return text[:MAX_FIELD_CHARS]


def _split(text: str) -> list[str]:
    return [part for part in (fold_space(piece) for piece in _END.split(_cut(text)) if piece) if part]


def _alternating(first: list[str], second: list[str]) -> list[str]:
    longer = max(len(first), len(second))
    return [side[i] for i in range(longer) for side in (first, second) if i < len(side)]
