"""Lexical index: the words of captions as TF-IDF rows, for matching names and terms that no encoder knows.

scikit-learn counts, scipy holds the rows. Terms are hashed, so that there is no vocabulary to keep in step:
adding is appending rows, and common words are known from the rows themselves. Differs from the textbook in:
- terms are words, CJK bigrams and single Han characters, and the first five letters of longer words, which
  meet inflections and compounds in any alphabet without a stemmer;
- how common a word is counts the queries' own texts beside the captions: captions are short and seldom say
  "however", prose does. Queries of one piece (the same title) are counted together;
- how common a word is counts the captions that a search may find, and no others (`among`): what else lies in the
  library moves no score;
- function words of seven languages weigh less, but are not left out ("The Who").
Letters: N captions, Q queries, F hashed terms.
"""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sparse
import stopwordsiso
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer

from interleaf.text import terms
from retrieval.vectors.nearest import Numbers, Vectors

__all__ = ["LexicalIndex", "WeighedTexts", "index_terms"]

FORMAT: Final = 1
FEATURES: Final = 1 << 20
PREFIX_LETTERS: Final = 5
FUNCTION_WORD_WEIGHT: Final = 0.3
FUNCTION_WORD_LANGUAGES: Final = ("de", "en", "es", "fr", "it", "nl", "pt")
_HAN: Final = re.compile(r"[\u3005\u3400-\u4dbf\u4e00-\u9fff]")
_CJK: Final = re.compile(r"[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]")
_BLOCK_SCORES: Final = 1 << 24


@dataclass(frozen=True)
class WeighedTexts:
    """A query: texts with the weight that their words have, such as (("the block before", 2.0), …)."""

    texts: tuple[tuple[str, float], ...]


def index_terms(text: str) -> list[str]:
    """Words, CJK bigrams, single Han characters, and five-letter beginnings (marked by a star)."""
    found = terms(text)
    beginnings = [f"{t[:PREFIX_LETTERS]}*" for t in found if len(t) >= PREFIX_LETTERS and not _CJK.match(t)]
    return found + beginnings + _HAN.findall(text)


class LexicalIndex:
    """Captions by number, scored by shared words. Not for two threads at once."""

    def __init__(self) -> None:
        self._numbers: Numbers = np.zeros(0, np.int64)  # (N,) rising
        self._counts: Any = sparse.csr_matrix((0, FEATURES), dtype=np.float32)  # (N, F) 1 + log tf
        self._prepared: tuple[Any, Vectors, Vectors] | None = None
        # The last part that was asked for: a piece asks several times, and libraries are searched one by one.
        self._part: LexicalIndex | None = None

    def __len__(self) -> int:
        return len(self._numbers)

    def numbers(self) -> Numbers:
        """(N,) rising numbers."""
        return self._numbers.copy()

    def add(self, numbers: Sequence[int] | Numbers, texts: Sequence[str]) -> None:
        """Take captions in; a number that is there already gets the new words."""
        if not len(numbers):
            return
        self.remove(numbers)
        joined = np.concatenate([self._numbers, np.asarray(numbers, dtype=np.int64)])
        order = np.argsort(joined, kind="stable")
        self._counts = sparse.vstack([self._counts, _log_counts(texts)], format="csr")[order]
        self._numbers, self._prepared, self._part = joined[order], None, None

    def remove(self, numbers: Sequence[int] | Numbers) -> None:
        """Forget captions; numbers that are not there are passed over."""
        kept = ~np.isin(self._numbers, np.asarray(numbers, dtype=np.int64))
        if not kept.all():
            self._numbers, self._counts = self._numbers[kept], self._counts[kept]
            self._prepared = self._part = None

    def among(self, numbers: Numbers) -> LexicalIndex:
        """These captions alone, as if there were no others; numbers that are not there are passed over. To be asked,
        and not to be changed."""
        columns = self.columns(numbers)
        if len(columns) == len(self):
            return self
        if self._part is None or not np.array_equal(self._part._numbers, self._numbers[columns]):
            self._part = LexicalIndex()
            self._part._numbers, self._part._counts = self._numbers[columns], self._counts[columns]
        return self._part

    def scores(self, queries: Sequence[WeighedTexts]) -> Vectors:
        """(Q, N) scores in 0..1 of queries that belong to one piece, columns in the order of `numbers()`."""
        inverted, document_frequency, length = self._prepare()
        said = sorted({text for query in queries for text, _ in query.texts if text.strip()})
        if not said or not len(self):
            return np.zeros((len(queries), len(self)), np.float32)
        counts = _counts(said)  # (texts, F)
        seen = np.bincount(counts.indices, minlength=FEATURES).astype(np.float32)
        weight = _idf(document_frequency + seen, len(self) + len(said))
        row_of = {text: i for i, text in enumerate(said)}
        found = np.zeros((len(queries), len(self)), np.float32)
        step = max(1, _BLOCK_SCORES // len(self))
        for start in range(0, len(queries), step):
            part = queries[start : start + step]
            mix = sparse.lil_matrix((len(part), len(said)), dtype=np.float32)
            for q, query in enumerate(part):
                for text, share in query.texts:
                    if text in row_of:
                        mix[q, row_of[text]] += share
            asked = (mix.tocsr() @ counts).tocsr()  # (part, F)
            asked.data = np.log1p(asked.data) * weight[asked.indices]
            size = np.sqrt(np.asarray(asked.multiply(asked).sum(axis=1)).ravel())
            asked.data *= weight[asked.indices]
            scores = (asked @ inverted).toarray()  # (part, N)
            found[start : start + step] = scores / np.maximum(size, 1e-9)[:, None] / length[None, :]
        return np.asarray(np.clip(found, 0.0, 1.0), dtype=np.float32)

    def likeness(self, columns: Sequence[int] | Numbers) -> Vectors:
        """(len(columns), N) cosines in 0..1 of captions (as columns of `scores`) with all captions."""
        inverted, document_frequency, length = self._prepare()
        rows = self._counts[np.asarray(columns, dtype=np.int64)]
        weight = _idf(document_frequency, len(self))
        rows.data = rows.data * np.square(weight[rows.indices])
        own = length[np.asarray(columns, dtype=np.int64)]
        cosines = (rows @ inverted).toarray() / own[:, None] / length[None, :]
        return np.asarray(np.clip(cosines, 0.0, 1.0), dtype=np.float32)

    def columns(self, numbers: Numbers) -> Numbers:
        """Columns of those of the rising `numbers` that are there."""
        return np.flatnonzero(np.isin(self._numbers, numbers))

    def save(self, path: Path) -> None:
        """Write the rows to `path`, aside and renamed. OSError when that is impossible."""
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                rows = self._counts
                np.savez(
                    stream,
                    format=np.int64(FORMAT),
                    numbers=self._numbers,
                    data=rows.data.astype(np.float16),
                    indices=rows.indices.astype(np.int32),
                    indptr=rows.indptr.astype(np.int64),
                )
                stream.flush()
                os.fsync(stream.fileno())
            Path(aside).replace(path)
        except OSError:
            with suppress(OSError):
                Path(aside).unlink()
            raise

    @classmethod
    def open(cls, path: Path) -> LexicalIndex | None:
        """What `save` wrote; None when there is nothing, or nothing whole, so that it is counted anew."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                if int(kept["format"]) != FORMAT:
                    return None
                index, numbers, rows = cls(), kept["numbers"], len(kept["numbers"])
                data = kept["data"].astype(np.float32)
                counts = sparse.csr_matrix((data, kept["indices"], kept["indptr"]), shape=(rows, FEATURES))
                counts.check_format(full_check=True)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return None
        if numbers.ndim != 1 or numbers.dtype != np.int64 or (np.diff(numbers) <= 0).any():
            return None
        index._numbers, index._counts = numbers, counts
        return index

    def _prepare(self) -> tuple[Any, Vectors, Vectors]:
        """((F, N) counts by term, (F,) captions that hold each term, (N,) lengths of the weighed rows)."""
        if self._prepared is None:
            rows = self._counts
            frequency = np.bincount(rows.indices, minlength=FEATURES).astype(np.float32)
            weighed = rows.copy()
            weighed.data = np.square(weighed.data * _idf(frequency, len(self))[weighed.indices])
            length = np.sqrt(np.asarray(weighed.sum(axis=1)).ravel()).astype(np.float32)
            self._prepared = rows.T.tocsr(), frequency, np.maximum(length, np.float32(1e-9))
        return self._prepared


@cache
def _vectorizer(analyzer: Callable[[Any], list[str]]) -> Any:
    return HashingVectorizer(analyzer=analyzer, n_features=FEATURES, alternate_sign=False, norm=None, dtype=np.float32)


def _counts(texts: Sequence[str]) -> Any:
    """(len(texts), F) how often each term stands in each text."""
    rows = _vectorizer(index_terms).transform(texts).tocsr()
    rows.sum_duplicates()
    return rows


def _log_counts(texts: Sequence[str]) -> Any:
    # Rounded to what `save` keeps, so that a saved index gives the same scores as a fresh one.
    rows = _counts(texts)
    rows.data = (1 + np.log(rows.data)).astype(np.float16).astype(np.float32)
    return rows


def _idf(document_frequency: Vectors, documents: int) -> Vectors:
    """(F,) weight of each term: high when few texts hold it."""
    weight = np.log((1 + documents) / (1 + document_frequency)) + 1
    return np.asarray(np.maximum(weight, 0) * _function_words(), dtype=np.float32)


@cache
def _function_words() -> NDArray[np.float32]:
    """(F,) 1, and less for the terms of function words."""
    weight = np.ones(FEATURES, np.float32)
    words = terms(" ".join(sorted(stopwordsiso.stopwords(list(FUNCTION_WORD_LANGUAGES)))))
    weight[_vectorizer(list).transform([[*words, *(f"{word}*" for word in words)]]).indices] = FUNCTION_WORD_WEIGHT
    return weight
