"""FAISS rows: vectors by position 0..N-1, flat (to be compared outside) or as an HNSW graph that is walked here.

The only file that touches faiss; its errors leave it as IndexUnusable. faiss aborts the process rather
than raising when a mapped index is written to, and reads whatever a file says: so a mapped index is
loaded into memory before it is changed, and a file reaches `open` only after its hash was checked
(snapshot.py). Letters: N rows, D width, Q queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import faiss as _typed_faiss
import numpy as np
from numpy.typing import NDArray

from interleaf.errors import IndexUnusable
from retrieval.vectors.nearest import Numbers, Vectors

__all__ = ["FaissRows", "Kind"]

# The wheel's type stubs lack a good part of what the module has.
faiss: Any = _typed_faiss

Kind = Literal["flat", "hnsw"]

# Measured in benchmarks/index.py, written down in docs/decisions/0005-index-kind.md.
LINKS: Final = 16  # M of HNSW: 2 M links per row on the ground floor
BUILD_EFFORT: Final = 80  # efConstruction
FIRST_EFFORT: Final = 32  # efSearch until it is measured
_QUANTIZER: Final = "SQbf16"


class FaissRows:
    """Rows that are appended, searched, and moved only by `permute`; which of them count is the caller's matter."""

    def __init__(self, index: Any, path: Path | None = None) -> None:
        self._index = index
        self._path = path  # set while the rows are mapped from this file
        # Kept here because each look into faiss's object takes about half a µs.
        self.kind: Final[Kind] = "flat" if isinstance(index, faiss.IndexFlat) else "hnsw"
        self.dimension: Final = int(index.d)

    @classmethod
    def empty(cls, kind: Kind, dimension: int) -> FaissRows:
        """No rows yet."""
        with _translated("index"):
            if kind == "flat":
                return cls(faiss.IndexFlatIP(dimension))
            index = faiss.index_factory(dimension, f"HNSW{LINKS},{_QUANTIZER}", faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction, index.hnsw.efSearch = BUILD_EFFORT, FIRST_EFFORT
            return cls(index)

    @classmethod
    def open(cls, path: Path, mapped: bool) -> FaissRows:
        """Rows of a file that `write` wrote and whose hash is checked. `mapped`: pages are read when touched."""
        with _translated(path.name):
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
        if not isinstance(index, faiss.IndexFlat | faiss.IndexHNSWSQ):
            raise IndexUnusable(path.name, f"holds a {type(index).__name__}.", "Delete it: it is built again.")
        return cls(index, path if mapped else None)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def effort(self) -> int:
        """How many rows a graph search keeps in view (efSearch): more is slower and finds more."""
        return 0 if self.kind == "flat" else int(self._index.hnsw.efSearch)

    @effort.setter
    def effort(self, value: int) -> None:
        if self.kind == "hnsw":
            self._index.hnsw.efSearch = value

    def append(self, rows: Vectors) -> None:
        """Take (N, D) checked rows in at the next positions."""
        with _translated("index"):
            if self._path is not None:
                # Not read from the file again: another process may have put a newer one there.
                self._index, self._path = faiss.deserialize_index(faiss.serialize_index(self._index)), None
            if not self._index.is_trained:
                self._index.train(rows)  # a bfloat16 quantizer learns nothing; faiss wants to be asked
            self._index.add(rows)

    def permute(self, order: Numbers) -> None:
        """Move rows and links so that what stood at order[i] stands at i."""
        with _translated("index"):
            self._index.permute_entries(np.ascontiguousarray(order, dtype=np.int64))

    def search(
        self, queries: Vectors, k: int, bits: NDArray[np.uint8] | None = None, effort: int | None = None
    ) -> tuple[Vectors, Numbers]:
        """Walk the graph: (Q, k) scores and positions, best first, -1 where there was nothing.

        `bits`: only rows whose bit is set (one bit a row, lowest first); `effort`: for this search only."""
        if bits is None and effort is None:
            try:  # the common case, without the few µs of a context manager
                if queries.shape[1] != self.dimension:
                    raise ValueError(f"queries are {queries.shape[1]} wide, rows {self.dimension}")
                scores, places = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
                # The C++ call itself: faiss's Python one checks more again (about 2 µs a query).
                self._index.search_c(
                    len(queries), faiss.swig_ptr(queries), k, faiss.swig_ptr(scores), faiss.swig_ptr(places)
                )
            except _FAISS_ERRORS as error:
                raise _unusable("index", error) from error
            return scores, places
        with _translated("index"):
            selector = None if bits is None else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
            parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=effort or self.effort)
            scores, places = self._index.search(queries, k, params=parameters)
            return scores, places

    def rows(self, positions: Numbers) -> Vectors:
        """(len(positions), D) rows as they are kept: flat ones exactly, graph ones in bfloat16."""
        flat = self.flat()
        if flat is not None:
            return np.asarray(flat[positions])
        with _translated("index"):
            return np.asarray(self._index.storage.reconstruct_batch(np.ascontiguousarray(positions)))

    def write(self, path: Path) -> None:
        """Write the rows to a file."""
        with _translated(path.name):
            faiss.write_index(self._index, str(path))

    def flat(self) -> Vectors | None:
        """(N, D) view of flat rows, valid until the next `append`; None for a graph."""
        if self.kind != "flat":
            return None
        if not len(self):
            return np.zeros((0, self.dimension), np.float32)
        stored = faiss.rev_swig_ptr(self._index.get_xb(), len(self) * self.dimension)
        return np.asarray(stored).reshape(len(self), self.dimension)


# RuntimeError from C++, bare AssertionError and ValueError from its wrapper.
_FAISS_ERRORS: Final = (RuntimeError, AssertionError, ValueError, TypeError, OSError, MemoryError)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """faiss's errors as IndexUnusable."""
    try:
        yield
    except _FAISS_ERRORS as error:
        raise _unusable(name, error) from error


def _unusable(name: str, error: Exception) -> IndexUnusable:
    if isinstance(error, MemoryError):
        return IndexUnusable(name, "there is not enough memory for it.", "Close something, or split the library.")
    reason = str(error).strip().split("\n", 1)[0][-300:] or type(error).__name__
    return IndexUnusable(name, f"faiss cannot use it ({reason}).", "Delete the file: it is built again.")
