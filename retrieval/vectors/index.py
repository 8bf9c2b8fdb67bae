"""Index: numbered unit vectors under FAISS; exact while that is fast, then an HNSW graph of measured recall.

Rows are only ever appended. A removed number is a row that no longer counts: invisible at once, its row kept
until more than 30 % are like that, when `tidy` builds anew. A graph is published only with the recall that was
measured against exact search; one that cannot reach it is given up for the exact kind.
Letters: N rows, D width, Q queries.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from interleaf.errors import IndexUnusable, RetrievalError
from retrieval.vectors.faiss_rows import FaissRows, Kind
from retrieval.vectors.locality import nearby_order
from retrieval.vectors.nearest import (
    Neighbours,
    Numbers,
    Vectors,
    best,
    checked_numbers,
    checked_queries,
    checked_rows,
    rounded,
)
from retrieval.vectors.numbering import Numbering
from retrieval.vectors.recall import K, Recall, least_effort, probes, recall_at
from retrieval.vectors.snapshot import Header, Snapshot, read_snapshot, write_snapshot

__all__ = ["BuildReport", "VectorIndex", "kind_for"]

_log = logging.getLogger(__name__)

# Exact up to this many numbers read for one query (N × D): about 5 ms on one core. Measured in benchmarks/index.py.
EXACT_MAX_SCALARS: Final = 16_000_000
DEAD_SHARE: Final = 0.3
PROMISED_NEAR: Final = 0.99
PROMISED_FAR: Final = 0.98
# A little above what is promised: probes are made from the rows and are easier than real queries.
RECALL_NEAR: Final = 0.995
RECALL_FAR: Final = 0.99
PROBES: Final = 256
PROBE_ROWS: Final = 4_096
REMEASURE_GROWTH: Final = 1.5
# Where a filter lets fewer through than this share, or this many, all of them are compared instead.
EXACT_SHARE: Final = 0.05
EXACT_ALLOWED: Final = 4_096
MAPPED_FROM_BYTES: Final = 1 << 25
LINKED_ROWS: Final = 65_536  # rows that are linked at a time while building
BLOCK_ROWS: Final = 8_192  # rows that are copied or decoded at a time
BLOCK_SCORES: Final = 1 << 24  # scores held at a time: 64 MiB
GATHERED_SHARE: Final = 0.3  # of fewer rows than this share copies are made instead of passing over the rest
_MAX_SWAPS: Final = 5
_SEED: Final = 20_241_121


@dataclass(frozen=True)
class BuildReport:
    """What was built: `recall` is the share of the ten exact nearest found (1.0 where search is exact)."""

    kind: Kind
    count: int
    effort: int
    recall: Recall


def kind_for(count: int, dimension: int) -> Kind:
    """The kind of index for so many vectors of this width."""
    return "flat" if count * dimension <= EXACT_MAX_SCALARS else "hnsw"


class VectorIndex:
    """See nearest.py for the contract. One writer; searches may run beside one another, not beside a change."""

    def __init__(self, dimension: int, encoder: str = "", encoder_sha256: str = "") -> None:
        self._encoder, self._encoder_sha256 = encoder, encoder_sha256
        self._numbering = Numbering(np.zeros(0, np.int64))
        self._rows = FaissRows.empty("flat", dimension)
        self._exact_only = False  # a graph was tried and did not reach its recall
        self._measured_rows = 0
        self.report = BuildReport("flat", 0, 0, Recall(1.0, 1.0))

    @classmethod
    def open(cls, path: Path, encoder: str, encoder_sha256: str) -> VectorIndex:
        """The index that `save` wrote. IndexUnusable when it is damaged or another encoder made it."""
        for _ in range(_MAX_SWAPS):
            snapshot = read_snapshot(path)
            header = snapshot.header
            if (header.encoder, header.encoder_sha256) != (encoder, encoder_sha256):
                raise IndexUnusable(
                    path.name,
                    f"was made by the encoder {header.encoder} ({header.encoder_sha256[:12]}), "
                    f"not by {encoder} ({encoder_sha256[:12]}).",
                    "Build it again with this encoder, or choose the other one: their vectors do not compare.",
                )
            rows = FaissRows.open(path, mapped=header.faiss_bytes >= MAPPED_FROM_BYTES)
            if snapshot.unchanged():
                return cls._from_snapshot(snapshot, rows)
        raise IndexUnusable(path.name, "is being replaced again and again.", "Let the other process finish.")

    @classmethod
    def _from_snapshot(cls, snapshot: Snapshot, rows: FaissRows) -> VectorIndex:
        header = snapshot.header
        if (rows.kind, rows.dimension, len(rows)) != (header.kind, header.dimension, header.rows):
            raise IndexUnusable(
                snapshot.path.name, "its header and its rows disagree.", "Delete it: it is built again."
            )
        index = cls(header.dimension, header.encoder, header.encoder_sha256)
        index._rows, index._numbering = rows, Numbering(snapshot.numbers, snapshot.counted)
        rows.effort = header.effort
        index._measured_rows = header.measured_rows
        recall = Recall(header.recall_near, header.recall_far)
        index.report = BuildReport(rows.kind, header.count, header.effort, recall)
        return index

    @property
    def dimension(self) -> int:
        return self._rows.dimension

    @property
    def kind(self) -> Kind:
        """`flat` (exact) or `hnsw` (a graph with the recall that `report` states)."""
        return self._rows.kind

    @property
    def dead(self) -> int:
        """How many rows are kept that count no more."""
        return self._numbering.dead

    def __len__(self) -> int:
        return self._numbering.live

    def numbers(self) -> Numbers:
        return np.sort(self._numbering.numbers[self._numbering.counted])

    def holds(self, numbers: Numbers) -> NDArray[np.bool_]:
        return self._numbering.positions(checked_numbers(numbers)) >= 0

    def add(self, numbers: Numbers, vectors: Vectors) -> None:
        """See nearest.py. Crossing the size where exact search is slow builds the graph, which takes a while."""
        numbers, vectors = checked_rows(numbers, vectors, self.dimension)
        if (known := self._numbering.positions(numbers) >= 0).any():
            raise RetrievalError("numbers", f"{int(numbers[known][0])} is in the index already.", "Remove it first.")
        if not len(numbers):
            return
        wanted = kind_for(len(self) + len(numbers), self.dimension)
        if self.kind == "flat" and wanted == "hnsw" and not self._exact_only:
            kept = np.flatnonzero(self._numbering.counted)
            if len(kept):  # a first big load is not copied once more
                numbers = np.concatenate([self._numbering.numbers[kept], numbers])
                vectors = np.concatenate([self._rows.rows(kept), vectors])
            self._build(numbers, vectors)
            return
        self._rows.append(vectors)
        self._numbering.append(numbers)
        if self.kind == "hnsw" and len(self._numbering) > REMEASURE_GROWTH * self._measured_rows:
            self._measure()
        self.report = BuildReport(self.kind, len(self), self._rows.effort, self.report.recall)

    def remove(self, numbers: Numbers) -> int:
        return self._numbering.drop(numbers)

    def tidy(self) -> bool:
        """Build anew when more than 30 % of the rows count no more, or the other kind fits; whether it did."""
        wanted = "flat" if self._exact_only else kind_for(len(self), self.dimension)
        if self.dead <= DEAD_SHARE * len(self._numbering) and (self.kind == wanted or self.kind == "hnsw"):
            return False
        kept = np.flatnonzero(self._numbering.counted)
        self._build(self._numbering.numbers[kept], self._rows.rows(kept))
        return True

    def search(self, vectors: Vectors, k: int, allowed: Numbers | None = None) -> list[Neighbours]:
        queries = checked_queries(vectors, self._rows.dimension)
        numbering = self._numbering
        counted, total = (numbering.counted, numbering.live) if allowed is None else numbering.mask(allowed)
        k = min(k, total)
        if k <= 0 or not len(queries):
            return [Neighbours(np.zeros(0, np.int64), np.zeros(0, np.float32)) for _ in queries]
        rows = len(numbering)
        if self._rows.kind == "flat" or total <= max(EXACT_ALLOWED, EXACT_SHARE * rows):
            return self._compare(queries, k, counted, total)
        # The effort was measured for K neighbours; and a graph walk meets every row, counted or not, so that
        # under a filter it has to go on for longer.
        effort = None
        if total < rows or k > K:
            effort = int(max(self._rows.effort, 2 * k if k > K else k) * min(8.0, rows / total))
        bits = None
        if total < rows:
            bits = numbering.bits if allowed is None else np.packbits(counted, bitorder="little")
        scores, places = self._rows.search(queries, k, bits, effort)
        return self._neighbours(queries, k, scores, places, counted)

    def vectors(self, numbers: Numbers) -> Vectors:
        positions = self._numbering.positions(checked_numbers(numbers))
        if (positions < 0).any():
            raise RetrievalError("numbers", "one of them is not in the index.", "Ask for numbers that are there.")
        return self._rows.rows(positions)

    def save(self, path: Path) -> None:
        """Write the whole index to `path` (aside, fsync, rename). OutputUnwritable when that is impossible."""
        recall = self.report.recall
        header = Header(
            encoder=self._encoder,
            encoder_sha256=self._encoder_sha256,
            dimension=self.dimension,
            kind=self.kind,
            rows=len(self._numbering),
            count=len(self),
            effort=self._rows.effort,
            recall_near=recall.near,
            recall_far=recall.far,
            measured_rows=self._measured_rows,
            faiss_bytes=0,
        )
        write_snapshot(path, header, self._rows.write, self._numbering.numbers, self._numbering.counted)

    # Inside

    def _build(self, numbers: Numbers, vectors: Vectors) -> None:
        """Replace everything by these rows, in the kind that fits their number."""
        kind: Kind = "flat" if self._exact_only else kind_for(len(numbers), self.dimension)
        if kind == "hnsw":
            self._rows, self._numbering = _linked(numbers, vectors)
        else:
            self._rows, self._numbering = FaissRows.empty(kind, self.dimension), Numbering(numbers)
            self._rows.append(vectors)
        self.report = BuildReport(kind, len(self), self._rows.effort, Recall(1.0, 1.0))
        if kind == "hnsw" and not self._measure((numbers, vectors)):
            self._exact_only = True
            self._build(numbers, vectors)

    def _measure(self, given: tuple[Numbers, Vectors] | None = None) -> bool:
        """Find the least effort that reaches the recall, against exact search over the kept rows.

        `given`: the numbers and rows as they came, in any order; without them the rounded ones are taken."""
        if given is None:
            kept = np.flatnonzero(self._numbering.counted)
            rows = self._rows.rows(kept[:: max(1, len(kept) // PROBE_ROWS)])
        else:
            rows = given[1][:: max(1, len(given[1]) // PROBE_ROWS)]
        queries = np.concatenate(probes(rows, PROBES))
        truth = self._compare(queries, K, self._numbering.counted, len(self), given)

        def found(effort: int) -> list[Neighbours]:
            self._rows.effort = effort
            return self.search(queries, K)

        effort, recall = least_effort(lambda e: _shares(found(e), truth), RECALL_NEAR, RECALL_FAR)
        enough = recall.meets(RECALL_NEAR, RECALL_FAR)
        if not enough and given is not None:
            # Rows that lie close together change places when they are rounded to bfloat16, which no walk can mend:
            # the walk is held against the rounded rows, and all of it against what is promised.
            rounded_truth = self._compare(queries, K, self._numbering.counted, len(self))

            def worse(effort: int) -> Recall:
                walked, whole = (_shares(found(effort), t) for t in (rounded_truth, truth))
                near = min(walked.near, whole.near + RECALL_NEAR - PROMISED_NEAR)
                return Recall(near, min(walked.far, whole.far + RECALL_FAR - PROMISED_FAR))

            effort, of_both = least_effort(worse, RECALL_NEAR, RECALL_FAR)
            enough, recall = of_both.meets(RECALL_NEAR, RECALL_FAR), _shares(found(effort), truth)
        self._rows.effort = effort
        self._measured_rows = len(self._numbering)
        self.report = BuildReport(self.kind, len(self), effort, recall)
        said = (len(self), effort, recall.near, recall.far)
        if not enough:
            _log.warning("index of %d vectors: recall@10 at effort %d is %.3f near, %.3f far: exact instead", *said)
            return False
        _log.info("index of %d vectors: effort %d, recall@10 %.3f near, %.3f far", *said)
        return True

    def _compare(
        self,
        queries: Vectors,
        k: int,
        counted: NDArray[np.bool_],
        total: int,
        given: tuple[Numbers, Vectors] | None = None,
    ) -> list[Neighbours]:
        """The k best by comparing all `total` counted rows, a block at a time.

        `given`: all (N,) numbers and (N, D) rows as they came, to be compared instead of the kept ones.
        numpy's matrix product is several times as fast as that of faiss's wheel (docs/decisions/0005-index-kind.md)."""
        numbers, whole = given or (self._numbering.numbers, self._rows.flat())
        if given is not None:
            counted = np.ones(len(numbers), bool)
        in_place = whole is not None and total > GATHERED_SHARE * len(counted)
        positions = np.arange(len(counted)) if in_place else np.flatnonzero(counted)
        step = max(BLOCK_ROWS, BLOCK_SCORES // len(queries)) if in_place else BLOCK_ROWS
        found: list[list[Neighbours]] = [[] for _ in queries]
        for start in range(0, len(positions), step):
            block = positions[start : start + step]
            if in_place and whole is not None:
                kept = counted[start : start + step]
                scores = queries @ whole[start : start + step].T  # (Q, block)
                if not kept.all():
                    block, scores = block[kept], scores[:, kept]
            else:
                scores = queries @ (self._rows.rows(block) if whole is None else whole[block]).T  # (Q, block)
            for one, row in zip(found, scores, strict=True):
                one.append(best(numbers[block], row, k))
        if len(positions) <= step:
            return [one[0] for one in found]
        return [best(np.concatenate([n.numbers for n in f]), np.concatenate([n.scores for n in f]), k) for f in found]

    def _neighbours(
        self, queries: Vectors, k: int, scores: Vectors, places: Numbers, counted: NDArray[np.bool_]
    ) -> list[Neighbours]:
        """faiss's table as neighbours; a query that the graph left short is answered by comparing all."""
        # Row by row in plain Python: for the few rows of a call that is less than numpy's reductions cost.
        found: list[Neighbours] = []
        for row, at in zip(rounded(scores), places, strict=True):
            if at[-1] >= 0 and len(set(row.tolist())) == k:  # nothing is missing (that stands at the end), nothing ties
                found.append(Neighbours(self._numbering.numbers[at], row))
            else:
                found.append(best(self._numbering.numbers[at[at >= 0]], row[at >= 0], k))
        short = [q for q, one in enumerate(found) if len(one.numbers) < k]
        if short:
            for q, one in zip(short, self._compare(queries[short], k, counted, int(counted.sum())), strict=True):
                found[q] = one
        return found


def _shares(found: list[Neighbours], truth: list[Neighbours]) -> Recall:
    """Of the near probes, which come first, and of the far ones."""
    return Recall(recall_at(found[:PROBES], truth[:PROBES]), recall_at(found[PROBES:], truth[PROBES:]))


def _linked(numbers: Numbers, vectors: Vectors) -> tuple[FaissRows, Numbering]:
    """A graph over (N, D) rows.

    Linked in a random order, for a graph that grows one topic after another, as folders do, finds less; then
    moved so that a walk reads neighbouring memory (both measured: docs/decisions/0005-index-kind.md)."""
    rows = FaissRows.empty("hnsw", vectors.shape[1])
    drawn = np.random.default_rng(_SEED).permutation(len(numbers))
    for start in range(0, len(drawn), LINKED_ROWS):
        rows.append(vectors[drawn[start : start + LINKED_ROWS]])
    order = nearby_order(vectors)
    linked_at = np.empty_like(drawn)  # by place among the given rows
    linked_at[drawn] = np.arange(len(drawn))
    rows.permute(linked_at[order])
    numbering = Numbering(numbers[order])
    numbering.prepare()
    return rows, numbering
