"""Searcher: finds pictures by the words around a place, by a person's words, or by another picture.

1 candidates: the best by words and by vectors, among what the filter allows
2 evidence: every candidate is scored exactly by words, vectors and pixels
3 fusion: one score (fusion.py); pictures akin to the three best gain a little
4 hits: the k best, equal scores in order of their ids: not of their numbers, which tell when a picture came, and in
  another library with the same pictures are others
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from interleaf.errors import RetrievalError
from interleaf.schema import Picture, PictureFilter, PictureHit, PictureQuery
from retrieval.vectors.derived import DerivedIndexes, PictureEncoder, TextEncoder, TruthCatalog
from retrieval.vectors.fusion import fused, kin_weights, latin_share, pixel_evidence, said, sentences, whole
from retrieval.vectors.index import VectorIndex
from retrieval.vectors.lexical import LexicalIndex
from retrieval.vectors.nearest import Numbers, Vectors

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Searcher"]

MAX_HITS: Final = 10_000
CANDIDATES_BY_WORDS: Final = 200
CANDIDATES_BY_VECTOR: Final = 100
# A question with next to no Latin letters is not put to an encoder that knows English only.
MIN_LATIN: Final = 0.05
SCORE_DECIMALS: Final = 4


@dataclass(frozen=True)
class _Asked:
    """A query, prepared: rows of its sentences, of its whole and of its pixels (each (n, D); n may be 0)."""

    words: Vectors  # (N,) over the columns of the words that are weighed
    latin: float
    sentences: Vectors
    whole: Vectors
    pixels: Vectors
    without: int | None = None  # the number of the picture that was asked with


class Searcher:
    """Search over a catalog's pictures. Threads may share it: they take turns."""

    def __init__(
        self,
        catalog: TruthCatalog,
        index_dir: Path,
        embedder: TextEncoder,
        pixel_embedder: PictureEncoder | None = None,
        open_picture: Callable[[Picture], Image] | None = None,
    ) -> None:
        """`open_picture` gives the decoded pixels; without it the pixel encoder encodes no new pictures."""
        self._catalog, self._embedder, self._pixel_embedder = catalog, embedder, pixel_embedder
        self._english_only = bool(getattr(embedder, "english_only", False))
        self._lock = threading.RLock()
        self._derived = DerivedIndexes(catalog, index_dir, embedder, pixel_embedder, open_picture)

    def refresh(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Encode pictures without vectors and bring the indexes up to the catalog."""
        with self._lock:
            self._derived.refresh(on_progress)

    def search(self, queries: Sequence[PictureQuery], k: int, where: PictureFilter) -> list[list[PictureHit]]:
        """For each query the k best pictures that the filter allows, best first; scores in 0..1.

        Ask for all places of a piece in one call: queries of one title share the count of how common their words
        are, and their texts are encoded together. A picture of which nothing is known is not found by words.
        PictureMissing when a query names a picture that is not there."""
        if not 0 <= k <= MAX_HITS:
            raise RetrievalError("k", f"{k} hits were asked for.", f"Ask for 0 to {MAX_HITS}.")
        with self._lock:
            self._derived.refresh()
            allowed = self._catalog.allowed_numbers(where)
            ranked = self._ranked(queries, k, allowed) if k and len(allowed) else []
            shown = self._catalog.pictures_by_number(sorted({n for hits in ranked for n, _ in hits}))
        return [_hits(hits, shown, k) for hits in ranked] or [[] for _ in queries]

    def search_pixels(self, image: Image, k: int, where: PictureFilter) -> list[PictureHit]:
        """The k best by the pixels of a decoded picture that need not be in the library. RetrievalError without a
        picture encoder."""
        if self._pixel_embedder is None:
            raise RetrievalError("pixels", "this library has no picture encoder.", "Name one, or search by words.")
        with self._lock:
            self._derived.refresh()
            allowed = self._catalog.allowed_numbers(where)
            nothing = self._stacked([])
            index = self._derived.words.among(allowed)
            words = np.zeros(len(index), np.float32)
            asked = _Asked(words, 1.0, nothing, nothing, self._pixel_embedder.encode_pictures([image]))
            ranked = self._rank(asked, k, allowed, index) if k and len(allowed) else []
            shown = self._catalog.pictures_by_number([number for number, _ in ranked])
        return _hits(ranked, shown, k)

    def close(self) -> None:
        """Let go of the indexes; everything is on disk already."""

    # 1 and 2: what the queries say

    def _ranked(
        self, queries: Sequence[PictureQuery], k: int, allowed: Numbers
    ) -> list[list[tuple[int, dict[str, float]]]]:
        # A picture that is asked with counts among those whose words are weighed, whether it may be found or not.
        with_those = [self._catalog.number(query.picture_id) for query in queries if query.picture_id is not None]
        index = self._derived.words.among(np.union1d(allowed, np.asarray(with_those, np.int64)))
        return [self._rank(asked, k, allowed, index) for asked in self._asked(queries, index)]

    def _asked(self, queries: Sequence[PictureQuery], index: LexicalIndex) -> list[_Asked]:
        latin = [latin_share(whole(q)) if self._english_only else 1.0 for q in queries]
        parts = [sentences(q) if share >= MIN_LATIN else () for q, share in zip(queries, latin, strict=True)]
        wholes = [whole(q) if share >= MIN_LATIN else "" for q, share in zip(queries, latin, strict=True)]
        texts = list(dict.fromkeys(t for t in [*wholes, *(s for part in parts for s in part)] if t))
        row_of = dict(zip(texts, self._embedder.encode(texts), strict=True)) if texts else {}
        words = self._words(queries, index)
        asked = []
        for i, query in enumerate(queries):
            if query.picture_id is not None:
                asked.append(self._asked_by_picture(query.picture_id, index))
                continue
            near = self._stacked([row_of[s] for s in parts[i]])
            all_words = self._stacked([row_of[wholes[i]]] if wholes[i] else [])
            asked.append(_Asked(words[i], latin[i], near, all_words, self._pixel_query(whole(query))))
        return asked

    def _words(self, queries: Sequence[PictureQuery], index: LexicalIndex) -> Vectors:
        """(Q, N) word scores; queries of one piece are scored together."""
        scores = np.zeros((len(queries), len(index)), np.float32)
        pieces: dict[str | int, list[int]] = {}
        for i, query in enumerate(queries):
            pieces.setdefault(query.title or i, []).append(i)
        for members in pieces.values():
            scores[members] = index.scores([said(queries[i]) for i in members])
        return scores

    def _asked_by_picture(self, picture_id: str, index: LexicalIndex) -> _Asked:
        number = self._catalog.number(picture_id)
        own = np.array([number], np.int64)
        derived = self._derived
        columns = index.columns(own)
        words = index.likeness(columns)[0] if len(columns) else np.zeros(len(index), np.float32)
        row = _kept_rows(derived.text, own)
        pixels = _kept_rows(derived.pixels, own) if derived.pixels is not None else row[:0]
        return _Asked(words, 1.0, row, row, pixels, number)

    def _pixel_query(self, text: str) -> Vectors:
        if self._pixel_embedder is None or not text:
            return np.zeros((0, 1), np.float32)
        return self._pixel_embedder.encode([text])

    def _stacked(self, rows: list[Vectors]) -> Vectors:
        return np.stack(rows) if rows else np.zeros((0, self._embedder.dimension), np.float32)

    # 1 to 4 for one query

    def _rank(self, asked: _Asked, k: int, allowed: Numbers, index: LexicalIndex) -> list[tuple[int, dict[str, float]]]:
        """(number, scores by name) of the k best, and of those that equal the last of them. `index`: the words that are
        weighed."""
        if asked.without is not None:
            allowed = allowed[allowed != asked.without]
        derived = self._derived
        numbers = self._candidates(asked, k, allowed, index)
        if not len(numbers):
            return []
        words = np.zeros(len(numbers), np.float32)
        at = index.columns(numbers)
        here = np.searchsorted(numbers, index.numbers()[at])
        words[here] = asked.words[at]
        near, vectors = _cosines(derived.text, numbers, asked.sentences), _cosines(derived.text, numbers, asked.whole)
        vectors = np.asarray((near + vectors) / 2, dtype=np.float32)
        pixels = None
        if derived.pixels is not None and len(asked.pixels):
            cosines = _cosines(derived.pixels, numbers, asked.pixels)
            pixels = pixel_evidence(cosines, derived.pixels.holds(numbers))
        first = fused(words, vectors, asked.latin, pixels, None)
        top, share = kin_weights(first[here], numbers[here])
        kin = np.zeros(len(numbers), np.float32)
        if len(top):
            kin[here] = share @ index.likeness(at[top])[:, at]
        score = np.round(fused(words, vectors, asked.latin, pixels, kin), SCORE_DECIMALS)
        order = np.lexsort((numbers, -score))
        if len(order) > k:
            order = order[score[order] >= score[order[k - 1]]]
        scores = {"score": score, "lexical_score": words, "vector_score": vectors}
        if pixels is not None:
            scores["pixel_score"] = pixels
        return [(int(numbers[i]), {name: float(values[i]) for name, values in scores.items()}) for i in order]

    def _candidates(self, asked: _Asked, k: int, allowed: Numbers, index: LexicalIndex) -> Numbers:
        """Rising numbers of the pictures that are worth scoring exactly."""
        columns = index.columns(allowed)
        by_words = max(CANDIDATES_BY_WORDS, 4 * k)
        matching = columns[asked.words[columns] > 0]
        if len(matching) > by_words:
            matching = matching[np.lexsort((matching, -asked.words[matching]))[:by_words]]
        found = [index.numbers()[matching]]
        by_vector = max(CANDIDATES_BY_VECTOR, 2 * k)
        for vectors, rows in (
            (self._derived.text, np.concatenate([asked.whole, asked.sentences])),
            (self._derived.pixels, asked.pixels),
        ):
            if vectors is not None and len(rows):
                found += [n.numbers for n in vectors.search(np.ascontiguousarray(rows), by_vector, allowed)]
        return np.unique(np.concatenate(found))


def _cosines(index: VectorIndex, numbers: Numbers, rows: Vectors) -> Vectors:
    """(N,) highest cosine of each picture with any of the rows; 0 for pictures without a vector, or without rows."""
    found = np.zeros(len(numbers), np.float32)
    if len(rows):
        there = index.holds(numbers)
        if there.any():
            found[there] = (index.vectors(numbers[there]) @ rows.T).max(axis=1)
    return found


def _kept_rows(index: VectorIndex, number: Numbers) -> Vectors:
    """(1 or 0, D) the picture's own row."""
    return (
        index.vectors(number) if np.isin(number, index.numbers()).all() else np.zeros((0, index.dimension), np.float32)
    )


def _hits(ranked: list[tuple[int, dict[str, float]]], shown: Mapping[int, Picture], k: int) -> list[PictureHit]:
    """The k best of those that are (still) there."""
    there = [PictureHit(picture=shown[number], **scores) for number, scores in ranked if number in shown]
    return sorted(there, key=lambda hit: (-hit.score, hit.picture.id))[:k]
