"""Benchmark W10: the picture index against hnswlib, usearch and raw faiss, in one process, interleaved.

    python -m benchmarks.index [--sizes 50000,100000] [--peers hnswlib,usearch-bf16,…] [--rounds 5]

Data: unit vectors around 2,000 centres in 64 of 768 dimensions, with noise in all of them; queries `in` are
drawn the same way, queries `ood` are moved off by a common shift and noise, as captions lie beside pictures.
Every index is set to the least effort that reaches recall@10 of 0.99 (in) and 0.98 (ood) against exact search
(ours finds its own when it is built, on its own probes, and for a second ratio is set in the same way as the
peers); then speed is taken in rounds that alternate between ours and the peer.
Ours is timed through the product's class: input checked, numbers mapped, scores ordered.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

import retrieval.vectors.index as index_module
from benchmarks.index_peers import PEERS, Peer
from retrieval.vectors.index import VectorIndex
from retrieval.vectors.recall import Recall, least_effort

D = 768
K = 10
QUERIES = 200
BATCH = 40
NEED_IN, NEED_OOD = 0.99, 0.98
THREADS = 2
BLOCK = 50_000


class Data:
    """`count` rows, queries of both kinds, and the true neighbours of each."""

    def __init__(self, count: int, folder: Path, extra: int) -> None:
        self._random = np.random.default_rng(7)
        self._basis = self._random.standard_normal((64, D)).astype(np.float32) / 8
        self._centres = self._random.standard_normal((2000, 64)).astype(np.float32)
        # On disk and mapped: at a million rows the copies of the peers need the memory.
        self.rows = np.memmap(folder / f"rows-{count}.f32", np.float32, "w+", shape=(count + extra, D))
        for start in range(0, count + extra, 50_000):
            part = self.rows[start : start + 50_000]
            part[:] = self._drawn(len(part))
        self.fresh, self.rows = self.rows[count:], self.rows[:count]
        shift = self._random.standard_normal(D).astype(np.float32) / np.sqrt(D)
        self.near = self._drawn(QUERIES)
        moved = self._drawn(QUERIES) + 0.5 * shift + 0.03 * self._random.standard_normal((QUERIES, D))
        self.ood = unit(moved)
        self.truth_near, self.truth_ood = exact(self.rows, self.near), exact(self.rows, self.ood)

    def _drawn(self, count: int) -> Any:
        inside = self._centres[self._random.integers(0, len(self._centres), count)]
        inside = inside + 0.5 * self._random.standard_normal((count, 64)).astype(np.float32)
        return unit(inside @ self._basis + 0.3 * self._random.standard_normal((count, D)).astype(np.float32))

    def recall(self, search: Callable[[Any], Any]) -> tuple[float, float]:
        return share(search(self.near), self.truth_near), share(search(self.ood), self.truth_ood)


def unit(rows: Any) -> Any:
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def exact(rows: Any, queries: Any, kept: Any = None) -> Any:
    """(Q, K) numbers of the true nearest among the rows `kept` (None: all), a block of rows at a time."""
    kept = np.arange(len(rows)) if kept is None else kept
    best_scores = np.full((len(queries), K), -np.inf, np.float32)
    best = np.zeros((len(queries), K), np.int64)
    for start in range(0, len(kept), BLOCK):
        block = kept[start : start + BLOCK]
        both = np.concatenate([best_scores, queries @ rows[block].T], axis=1)
        ids = np.concatenate([best, np.broadcast_to(block, (len(queries), len(block)))], axis=1)
        top = np.argpartition(-both, K - 1, axis=1)[:, :K]
        best_scores, best = np.take_along_axis(both, top, 1), np.take_along_axis(ids, top, 1)
    return best


def share(found: Any, truth: Any) -> float:
    return float(np.mean([len(set(map(int, f)) & set(map(int, t))) / K for f, t in zip(found, truth, strict=True)]))


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def numbers_of(index: VectorIndex, queries: Any) -> Any:
    return [n.numbers for n in index.search(queries, K)]


class Ours:
    """Our index, timed one query at a time on one thread and in batches on all."""

    name = "interleaf VectorIndex"

    def __init__(self, rows: Any) -> None:
        faiss.omp_set_num_threads(THREADS)
        self.index = VectorIndex(D, "benchmark", "0" * 64)
        self.build_s = timed(lambda: self.index.add(np.arange(len(rows)), rows))

    def set_alike(self, data: Data) -> None:
        """Find the least effort as the peers' is found: on the queries that are measured."""
        chosen = self.index._rows.effort

        def reached(effort: int) -> Recall:
            self.index._rows.effort = effort
            return Recall(*data.recall(lambda q: numbers_of(self.index, q)))

        self.least_effort, _ = least_effort(reached, NEED_IN, NEED_OOD)
        self.index._rows.effort = chosen

    def singles(self, queries: Any, effort: int | None = None) -> list[float]:
        faiss.omp_set_num_threads(1)
        chosen = self.index._rows.effort
        self.index._rows.effort = effort or chosen
        with threadpool_limits(1):  # numpy's, which exact search uses
            taken = [timed(lambda q=q: self.index.search(q[None], K)) for q in queries]
        self.index._rows.effort = chosen
        return taken

    def batch(self, queries: Any) -> float:
        faiss.omp_set_num_threads(THREADS)
        return timed(lambda: self.index.search(queries[:BATCH], K))


def against(ours: Ours, peer: Peer, data: Data, rounds: int, folder: Path) -> dict[str, Any]:
    """Build the peer, set its effort, alternate with ours. Ratios are ours / peer."""
    build_s = timed(lambda: peer.build(data.rows, THREADS))

    def reached(effort: int) -> Recall:
        peer.set_effort(effort)
        return Recall(*data.recall(lambda q: peer.search(q, K, THREADS)))

    effort, recall = least_effort(reached, NEED_IN, NEED_OOD)
    peer.set_effort(effort)
    taken: dict[str, list[float]] = {
        name: [] for name in ("our50", "our99", "ourset50", "peer50", "peer99", "ourbatch", "peerbatch")
    }
    for _ in range(rounds):
        mine, set_alike = ours.singles(data.near), ours.singles(data.near, ours.least_effort)
        theirs = [timed(lambda q=q: peer.search(q[None], K, 1)) for q in data.near]
        taken["our50"].append(np.median(mine)), taken["our99"].append(np.quantile(mine, 0.99))
        taken["ourset50"].append(np.median(set_alike))
        taken["peer50"].append(np.median(theirs)), taken["peer99"].append(np.quantile(theirs, 0.99))
        taken["ourbatch"].append(min(ours.batch(data.near) for _ in range(3)))
        taken["peerbatch"].append(min(timed(lambda: peer.search(data.near[:BATCH], K, THREADS)) for _ in range(3)))
    ms = {name: 1e3 * float(np.median(values)) for name, values in taken.items()}
    peer.save(folder / "peer")
    size = (folder / "peer").stat().st_size / len(data.rows)
    row = {
        "peer": peer.name,
        "effort": effort,
        "recall in/ood": f"{recall.near:.4f}/{recall.far:.4f}",
        "build s": round(build_s, 1),
        "bytes/vector": round(size),
        "p50 ms": round(ms["peer50"], 4),
        "p99 ms": round(ms["peer99"], 4),
        "batch-40 ms": round(ms["peerbatch"], 3),
        "our p50 ms beside it": round(ms["our50"], 4),
        "our p99 ms beside it": round(ms["our99"], 4),
        "our batch-40 ms beside it": round(ms["ourbatch"], 3),
        "p50 ratio": round(ms["our50"] / ms["peer50"], 3),
        "p50 ratio, set alike": round(ms["ourset50"] / ms["peer50"], 3),
        "build ratio": round(ours.build_s / build_s, 3),
    }
    gone = np.arange(0, len(data.rows), max(1, len(data.rows) // 200))
    took = timed(lambda: peer.remove(gone))
    if peer.remove([]) is not False:
        row["delete ms each"] = round(1e3 * took / len(gone), 5)
    return row


def opening(ours: Ours, data: Data, folder: Path) -> dict[str, Any]:
    """Opening by mapping, as the product does, against faiss.read_index of the same rows."""
    path = folder / "ours.index"
    saved_s = timed(lambda: ours.index.save(path))
    raw = folder / "raw.faiss"
    ours.index._rows.write(raw)
    mapped = [timed(lambda: VectorIndex.open(path, "benchmark", "0" * 64)) for _ in range(9)]
    read = [timed(lambda: faiss.read_index(str(raw))) for _ in range(5)]
    again = VectorIndex.open(path, "benchmark", "0" * 64)
    first = timed(lambda: again.search(data.near[:1], K))
    same = all(
        (a == b).all() for a, b in zip(numbers_of(again, data.near), numbers_of(ours.index, data.near), strict=True)
    )
    return {
        "save s (with fsync and sha256)": round(saved_s, 2),
        "bytes/vector": round(path.stat().st_size / len(data.rows)),
        "open mapped ms": round(1e3 * float(np.median(mapped)), 3),
        "faiss.read_index ms": round(1e3 * float(np.median(read)), 2),
        "open ratio": round(float(np.median(read) / np.median(mapped)), 1),
        "first search after open ms": round(1e3 * first, 2),
        "same answers": bool(same),
    }


def churn(ours: Ours, data: Data) -> dict[str, Any]:
    """Delete one by one until invisible; then take 30 % out, put as many new ones in, and look at recall."""
    index, count = ours.index, len(data.rows)
    random = np.random.default_rng(3)
    gone = random.permutation(count)[: int(0.3 * count)]
    taken = []
    for number in gone[:200]:
        row = np.asarray(data.rows[number : number + 1])

        def until_invisible(number: int = number, row: Any = row) -> None:
            index.remove(np.array([number]))
            assert number not in index.search(row, K)[0].numbers

        taken.append(timed(until_invisible))
    rest_s = timed(lambda: index.remove(gone[200:]))
    fresh = np.asarray(data.fresh[: len(gone)])
    added_s = timed(lambda: index.add(np.arange(count, count + len(fresh)), fresh))
    kept = np.setdiff1d(np.arange(count), gone)
    found = {}
    for name, queries in (("in", data.near), ("ood", data.ood)):
        old, new = exact(data.rows, queries, kept), exact(fresh, queries)
        truth = _merged(old, new, queries, data.rows, fresh, count)
        found[name] = share(numbers_of(index, queries), truth)
    return {
        "delete until invisible ms, median": round(1e3 * float(np.median(taken)), 3),
        "delete until invisible ms, worst": round(1e3 * max(taken), 3),
        f"delete {len(gone) - 200} at once ms": round(1e3 * rest_s, 1),
        "adds/s onto the graph": round(len(fresh) / added_s),
        "recall after 30 % churn in/ood": f"{found['in']:.4f}/{found['ood']:.4f}",
        "p50 ms after churn": round(1e3 * float(np.median(ours.singles(data.near))), 4),
    }


def _merged(old: Any, new: Any, queries: Any, rows: Any, fresh: Any, count: int) -> Any:
    """The K nearest of two tables of true neighbours; `new` counts from 0 within `fresh`."""
    found = []
    for q, query in enumerate(queries):
        scores = np.concatenate([rows[old[q]] @ query, fresh[new[q]] @ query])
        found.append(np.concatenate([old[q], new[q] + count])[np.argsort(-scores)[:K]])
    return np.array(found)


def flat(sizes: tuple[int, ...], data: Data) -> list[dict[str, Any]]:
    """What exact search costs: where the threshold comes from."""
    rows, kept = [], index_module.EXACT_MAX_SCALARS
    index_module.EXACT_MAX_SCALARS = 1 << 60
    try:
        for size in (s for s in sizes if s <= len(data.rows)):
            ours = Ours(np.asarray(data.rows[:size]))
            one = float(np.median(ours.singles(data.near[:60])))
            many = float(np.median([ours.batch(data.near) for _ in range(5)]))
            rows.append(
                {
                    "flat rows": size,
                    "p50 ms": round(1e3 * one, 3),
                    "batch-40 ms": round(1e3 * many, 2),
                    "40 singles / batch": round(BATCH * one / many, 1),
                }
            )
    finally:
        index_module.EXACT_MAX_SCALARS = kept
    return rows


def say(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n## {title}")
    for row in rows:
        print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="50000,100000")
    parser.add_argument("--peers", default="hnswlib,usearch-bf16,usearch-f32,faiss-hnsw")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {THREADS} threads, Python {platform.python_version()},", end=" "
    )
    print(f"faiss {version('faiss-cpu')}, numpy {version('numpy')}; D={D}, k={K}, {QUERIES} queries of each kind")
    for size in (int(s) for s in given.sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="interleaf-bench-") as name:
            folder = Path(name)
            data = Data(size, folder, extra=int(0.3 * size))
            if size <= 100_000:
                say("exact search", flat((5_000, 10_000, 20_000, 40_000), data))
            ours = Ours(data.rows)
            ours.set_alike(data)
            report, recall = ours.index.report, data.recall(lambda q, o=ours: numbers_of(o.index, q))
            one = float(np.median(ours.singles(data.near)))
            many = float(np.median([ours.batch(data.near) for _ in range(5)]))
            own = {
                "index": f"{ours.name}, {report.kind}",
                "effort it chose": report.effort,
                "least effort on these queries": ours.least_effort,
                "recall it states near/far": f"{report.recall.near:.4f}/{report.recall.far:.4f}",
                "recall in/ood": f"{recall[0]:.4f}/{recall[1]:.4f}",
                "build s (with measuring)": round(ours.build_s, 1),
                "p50 ms": round(1e3 * one, 4),
                "batch-40 ms": round(1e3 * many, 3),
                "40 singles / batch": round(BATCH * one / many, 2),
            }
            say(f"{size} vectors: ours", [own])
            say(f"{size} vectors: opening", [opening(ours, data, folder)])
            for peer_name in given.peers.split(","):
                say(f"{size} vectors: {peer_name}", [against(ours, PEERS[peer_name](), data, given.rounds, folder)])
            say(f"{size} vectors: churn", [churn(ours, data)])


if __name__ == "__main__":
    main()
