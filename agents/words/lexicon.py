"""Lexicon: texts as rows of weighted terms, where words that stand everywhere weigh nothing."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from interleaf.text import is_cjk, terms

__all__ = ["Lexicon", "build_lexicon", "content_terms"]

# Bigrams of Hiragana alone are endings and particles, not words.
_HIRAGANA = re.compile(r"[\u3040-\u309f\u30fc]+")

# Weight that is shared by all rows: what differs must outweigh it to matter.
COMMON_GROUND = 0.5


def content_terms(text: str) -> list[str]:
    """The index terms of a text that can carry its subject, in order."""
    return [term for term in terms(text) if not _HIRAGANA.fullmatch(term)]


@dataclass(frozen=True)
class Lexicon:
    """N texts as unit rows over V terms. `weights` (V,) is zero or nearly so for a term of every text."""

    rows: sparse.csr_matrix
    weights: NDArray[np.float64]
    index: dict[str, int]
    terms: tuple[str, ...]  # sorted, by column

    def gram(self) -> NDArray[np.float64]:
        """(N, N) cosines of all pairs."""
        return np.asarray((self.rows @ self.rows.T).todense(), dtype=np.float64)

    def cosines(self, text: str) -> NDArray[np.float64]:
        """(N,) cosine of each row with another text."""
        return np.asarray((self.rows @ self._row(content_terms(text)).T).todense(), dtype=np.float64).ravel()

    def coverage(self, wanted: Sequence[str]) -> NDArray[np.float64]:
        """(N,) how much each row holds of the wanted terms, 0..1. A term counts with its inflected forms
        ("tide", "tides"); what every row holds hardly tells them apart, and then all get nearly one."""
        n = self.rows.shape[0]
        held = np.full(n, COMMON_GROUND)
        total = COMMON_GROUND
        known = False
        for term in dict.fromkeys(wanted):
            forms = self._forms(term)
            has = np.zeros(n)
            if forms:
                has = (np.asarray((self.rows[:, forms] != 0).sum(axis=1)).ravel() > 0).astype(np.float64)
            # A wanted term that no row has counts as a rare one: else one chance hit would cover all.
            weight = max(0.0, float(np.log((n + 1) / (has.sum() + 0.5))))
            known = known or bool(has.any())
            held += weight * has
            total += weight
        return held / total if known else np.zeros(n)

    def _forms(self, term: str) -> list[int]:
        """Columns of a term and of what looks like its inflections."""
        if not term.isalpha() or len(term) < 4 or is_cjk(term):
            return [self.index[term]] if term in self.index else []
        stem = term[: max(4, len(term) - 2)] if len(term) > 5 else term.rstrip("se") or term
        return [k for known, k in self._beginning(stem) if abs(len(known) - len(term)) <= 2]

    def _beginning(self, stem: str) -> list[tuple[str, int]]:
        low = bisect_left(self.terms, stem)
        high = bisect_right(self.terms, stem + "\U0010ffff")
        return [(self.terms[k], k) for k in range(low, high)]

    def _row(self, found: Sequence[str]) -> sparse.csr_matrix:
        counts = Counter(self.index[term] for term in found if term in self.index)
        row = sparse.csr_matrix(
            ([(1 + np.log(c)) * self.weights[k] for k, c in counts.items()], ([0] * len(counts), list(counts))),
            shape=(1, len(self.weights)),
        )
        length = float(np.sqrt(row.multiply(row).sum()))
        return row / length if length > 0 else row


def build_lexicon(texts: Sequence[str], min_texts: int = 1) -> Lexicon:
    """The lexicon of some texts; document frequencies are those of the texts themselves. Terms of fewer than
    `min_texts` texts are left out: they tell nothing about which texts belong together."""
    found = [content_terms(text) for text in texts]
    frequency: Counter[str] = Counter()
    for row in found:
        frequency.update(set(row))
    vocabulary = sorted(term for term, count in frequency.items() if count >= min_texts)
    index = {term: k for k, term in enumerate(vocabulary)}
    n = len(texts)
    weights = np.array([max(0.0, float(np.log((n + 1) / (frequency[t] + 0.5)))) for t in vocabulary])
    values: list[float] = []
    columns: list[int] = []
    starts = [0]
    for row in found:
        counts = Counter(index[term] for term in row if term in index)
        for k in sorted(counts):
            columns.append(k)
            values.append((1 + float(np.log(counts[k]))) * float(weights[k]))
        starts.append(len(columns))
    matrix = sparse.csr_matrix((values, columns, starts), shape=(n, len(vocabulary)))
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()) if vocabulary else np.zeros(n)
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return Lexicon(
        rows=sparse.csr_matrix(sparse.diags(scale) @ matrix), weights=weights, index=index, terms=tuple(vocabulary)
    )
