"""Exact search: every vector compared with every query, in numpy. The oracle of the index, under its contract."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from interleaf.errors import RetrievalError
from retrieval.vectors.nearest import Neighbours, Numbers, Vectors, best, checked_numbers, checked_queries, checked_rows

__all__ = ["ExactIndex"]

BLOCK_SCORES: Final = 1 << 24  # scores held at a time: 64 MiB


class ExactIndex:
    """Unit vectors by number. See nearest.py for the contract."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._numbers: Numbers = np.zeros(0, np.int64)  # sorted
        self._rows: Vectors = np.zeros((0, dimension), np.float32)

    @property
    def dimension(self) -> int:
        return self._dimension

    def __len__(self) -> int:
        return len(self._numbers)

    def numbers(self) -> Numbers:
        return self._numbers.copy()

    def holds(self, numbers: Numbers) -> NDArray[np.bool_]:
        return np.isin(checked_numbers(numbers), self._numbers)

    def add(self, numbers: Numbers, vectors: Vectors) -> None:
        numbers, vectors = checked_rows(numbers, vectors, self._dimension)
        if (known := np.isin(numbers, self._numbers)).any():
            raise RetrievalError("numbers", f"{int(numbers[known][0])} is in the index already.", "Remove it first.")
        joined = np.concatenate([self._numbers, numbers])
        order = np.argsort(joined)
        self._numbers, self._rows = joined[order], np.concatenate([self._rows, vectors])[order]

    def remove(self, numbers: Numbers) -> int:
        gone = np.isin(self._numbers, checked_numbers(numbers))
        self._numbers, self._rows = self._numbers[~gone], self._rows[~gone]
        return int(gone.sum())

    def search(self, vectors: Vectors, k: int, allowed: Numbers | None = None) -> list[Neighbours]:
        queries = checked_queries(vectors, self._dimension)
        numbers, rows = self._numbers, self._rows
        if allowed is not None:
            kept = np.isin(numbers, checked_numbers(allowed))
            numbers, rows = numbers[kept], rows[kept]
        found: list[Neighbours] = []
        step = max(1, BLOCK_SCORES // max(1, len(numbers)))
        for start in range(0, len(queries), step):
            scores = queries[start : start + step] @ rows.T  # (step, N)
            found += [best(numbers, row, max(0, k)) for row in scores] if k > 0 else []
        return found or [Neighbours(numbers[:0], np.zeros(0, np.float32)) for _ in queries]

    def vectors(self, numbers: Numbers) -> Vectors:
        numbers = checked_numbers(numbers)
        places = np.searchsorted(self._numbers, numbers)
        inside = np.minimum(places, max(0, len(self._numbers) - 1))
        if len(numbers) and (not len(self._numbers) or (self._numbers[inside] != numbers).any()):
            raise RetrievalError("numbers", "one of them is not in the index.", "Ask for numbers that are there.")
        return self._rows[places]
