"""Nearest: the contract of nearest-neighbour search over numbered unit vectors; exact.py and index.py keep it.

Letters: N vectors, D width, Q queries. Scores are inner products, so cosines for unit vectors.
The contract, proved by tests/contracts/vector_index.py:
- a search gives min(k, allowed) results for each query, best first, equal scores by rising number; never a -1;
- `allowed` is held before ranking; a removed number is invisible from the next call on;
- wrong input is refused before anything changes.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from interleaf.errors import RetrievalError

__all__ = [
    "NearestIndex",
    "Neighbours",
    "Numbers",
    "Vectors",
    "best",
    "checked_numbers",
    "checked_queries",
    "checked_rows",
    "rounded",
]

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]

UNIT_TOLERANCE: Final = 1e-3
SCORE_DECIMALS: Final = 6
SCORE_STEP: Final = 10.0**-SCORE_DECIMALS
_REMEDY: Final = "Give (N, D) float32 rows that the library's own encoder made."


class Neighbours(NamedTuple):
    """What was found for one query, best first."""

    numbers: Numbers  # (≤ k,)
    scores: Vectors  # (≤ k,)


class NearestIndex(Protocol):
    """Numbered unit vectors that can be searched, added to and taken from."""

    @property
    def dimension(self) -> int:
        """D."""

    def __len__(self) -> int:
        """N, without what was removed."""

    def numbers(self) -> Numbers:
        """(N,) sorted numbers."""

    def holds(self, numbers: Numbers) -> NDArray[np.bool_]:
        """(len(numbers),) which of them are there."""

    def add(self, numbers: Numbers, vectors: Vectors) -> None:
        """Take (N, D) unit rows in under new numbers. RetrievalError for a wrong shape or a number that is there."""

    def remove(self, numbers: Numbers) -> int:
        """Forget these numbers; how many were there. Numbers that are not there are passed over."""

    def search(self, vectors: Vectors, k: int, allowed: Numbers | None = None) -> list[Neighbours]:
        """For each of (Q, D) queries the k best among `allowed` (None: all)."""

    def vectors(self, numbers: Numbers) -> Vectors:
        """(N, D) rows as they are kept. RetrievalError for a number that is not there."""


def checked_rows(numbers: Numbers, vectors: Vectors, dimension: int) -> tuple[Numbers, Vectors]:
    """Both, when they fit each other, the numbers are distinct and the rows finite and of unit length."""
    numbers = checked_numbers(numbers)
    vectors = checked_queries(vectors, dimension)
    if len(numbers) != len(vectors):
        raise RetrievalError("vectors", f"{len(numbers)} numbers came with {len(vectors)} rows.", _REMEDY)
    if len(np.unique(numbers)) != len(numbers):
        raise RetrievalError("numbers", "a number is given twice.", "Number each vector once.")
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    if len(length) and float(np.abs(length - 1).max()) > UNIT_TOLERANCE:
        worst = int(np.abs(length - 1).argmax())
        raise RetrievalError("vectors", f"row {worst} has length {float(length[worst]):.4g}, not 1.", _REMEDY)
    return numbers, vectors


def checked_numbers(numbers: Any) -> Numbers:
    """(N,) int64, none negative."""
    found = np.asarray(numbers)
    if found.ndim != 1 or (found.size and not np.issubdtype(found.dtype, np.integer)):
        raise RetrievalError("numbers", f"are {found.dtype} of shape {found.shape}.", "Give a list of whole numbers.")
    found = np.ascontiguousarray(found, dtype=np.int64)
    if found.size and int(found.min()) < 0:
        raise RetrievalError("numbers", f"{int(found.min())} is negative.", "Numbers start at 0.")
    return found


def checked_queries(vectors: Any, dimension: int) -> Vectors:
    """(Q, D) contiguous float32 without NaN or infinity."""
    found = np.asarray(vectors)
    if found.ndim != 2 or found.shape[1] != dimension:
        raise RetrievalError("vectors", f"have shape {found.shape}, not (N, {dimension}).", _REMEDY)
    if found.dtype != np.float32:
        raise RetrievalError("vectors", f"are {found.dtype}, not float32.", _REMEDY)
    found = np.ascontiguousarray(found)
    # NaN and infinity survive a sum of squares, which is quicker than looking at each; so may a sum that is too large.
    flat = found.reshape(-1)
    if not math.isfinite(np.dot(flat, flat)) and not np.isfinite(found).all():
        raise RetrievalError("vectors", "hold NaN or infinity.", _REMEDY)
    return found


def best(numbers: Numbers, scores: Vectors, k: int) -> Neighbours:
    """The k best of (M,) scored numbers: highest score first, equal ones by rising number."""
    if len(numbers) > k:
        # All that tie with the k-th stay in until the order by number has decided.
        edge = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = np.flatnonzero(scores >= edge - np.float32(SCORE_STEP))
        numbers, scores = numbers[kept], scores[kept]
    scores = rounded(scores)
    order = np.lexsort((numbers, -scores))[:k]
    return Neighbours(numbers[order], scores[order])


def rounded(scores: Vectors) -> Vectors:
    """Scores without their last bits, which depend on how a matrix product was cut into blocks."""
    return scores.round(SCORE_DECIMALS)
