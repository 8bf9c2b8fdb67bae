"""Peers of the picture index: hnswlib, usearch and raw faiss behind the few verbs that the benchmark needs.

Each is set up as its own documentation advises for this size; none gets our efforts' settings unasked.
The benchmark leans in their favour where it cannot be even: their calls carry no checks of input, no filters
and no numbers of their own.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import faiss
import hnswlib
import numpy as np
from usearch.index import Index as UsearchIndex

__all__ = ["PEERS", "Peer"]

LINKS = 16
BUILD_EFFORT = 100


class Peer(Protocol):
    """An index library: `name` with version."""

    name: str

    def build(self, rows: Any, threads: int) -> None: ...

    def set_effort(self, effort: int) -> None: ...

    def search(self, queries: Any, k: int, threads: int) -> Any:
        """(Q, k) row numbers."""

    def add(self, numbers: Any, rows: Any, threads: int) -> bool:
        """Take more in; False where the library cannot."""

    def remove(self, numbers: Any) -> bool:
        """Delete; False where the library cannot."""

    def save(self, path: Path) -> None: ...


class Hnswlib:
    name = f"hnswlib {version('hnswlib')} f32"

    def build(self, rows: Any, threads: int) -> None:
        self.index = hnswlib.Index("ip", rows.shape[1])
        self.index.init_index(int(len(rows) * 1.4), M=LINKS, ef_construction=BUILD_EFFORT)
        self.add(np.arange(len(rows)), rows, threads)

    def set_effort(self, effort: int) -> None:
        self.index.set_ef(effort)

    def search(self, queries: Any, k: int, threads: int) -> Any:
        return self.index.knn_query(queries, k, num_threads=threads)[0]

    def add(self, numbers: Any, rows: Any, threads: int) -> bool:
        self.index.add_items(rows, numbers, num_threads=threads)
        return True

    def remove(self, numbers: Any) -> bool:
        for number in numbers:
            self.index.mark_deleted(int(number))
        return True

    def save(self, path: Path) -> None:
        self.index.save_index(str(path))


class Usearch:
    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.name = f"usearch {version('usearch')} {dtype}"

    def build(self, rows: Any, threads: int) -> None:
        self.index = UsearchIndex(
            ndim=rows.shape[1], metric="ip", dtype=self.dtype, connectivity=LINKS, expansion_add=BUILD_EFFORT
        )
        self.add(np.arange(len(rows)), rows, threads)

    def set_effort(self, effort: int) -> None:
        self.index.expansion_search = effort

    def search(self, queries: Any, k: int, threads: int) -> Any:
        keys = self.index.search(queries if len(queries) > 1 else queries[0], k, threads=threads).keys
        return np.asarray(keys).reshape(len(queries), -1).astype(np.int64)

    def add(self, numbers: Any, rows: Any, threads: int) -> bool:
        self.index.add(numbers, rows, threads=threads)
        return True

    def remove(self, numbers: Any) -> bool:
        self.index.remove(numbers)
        return True

    def save(self, path: Path) -> None:
        self.index.save(str(path))


class RawFaiss:
    """The best faiss string of an earlier survey for this size, through faiss's own Python calls."""

    def __init__(self, factory: str = f"HNSW{LINKS},SQbf16") -> None:
        self.factory = factory
        self.name = f"faiss {version('faiss-cpu')} {factory}"

    def build(self, rows: Any, threads: int) -> None:
        faiss.omp_set_num_threads(threads)
        self.index = faiss.index_factory(rows.shape[1], self.factory, faiss.METRIC_INNER_PRODUCT)
        if self.factory.startswith("HNSW"):
            self.index.hnsw.efConstruction = BUILD_EFFORT
        self.index.train(np.ascontiguousarray(rows[:: max(1, len(rows) // 200_000)]))
        self.index.add(rows)

    def set_effort(self, effort: int) -> None:
        if self.factory.startswith("HNSW"):
            self.index.hnsw.efSearch = effort
        else:
            faiss.ParameterSpace().set_index_parameters(self.index, f"nprobe={effort},k_factor_rf=4")

    def search(self, queries: Any, k: int, threads: int) -> Any:
        faiss.omp_set_num_threads(threads)
        return self.index.search(queries, k)[1]

    def add(self, numbers: Any, rows: Any, threads: int) -> bool:
        faiss.omp_set_num_threads(threads)
        self.index.add(rows)
        return True

    def remove(self, numbers: Any) -> bool:
        return False  # IndexHNSW throws

    def save(self, path: Path) -> None:
        faiss.write_index(self.index, str(path))


PEERS = {
    "hnswlib": Hnswlib,
    "usearch-f32": lambda: Usearch("f32"),
    "usearch-bf16": lambda: Usearch("bf16"),
    "faiss-hnsw": RawFaiss,
    "faiss-ivfpq": lambda: RawFaiss("OPQ96_384,IVF4096,PQ96x4fs,RFlat"),
}
