"""The FAISS index keeps the contract in both kinds, changes kind by size, states its recall, survives restarts."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval.vectors.index as module
from interleaf.errors import IndexUnusable, OutputUnwritable
from retrieval.vectors.exact import ExactIndex
from retrieval.vectors.index import VectorIndex, kind_for
from retrieval.vectors.nearest import NearestIndex
from retrieval.vectors.recall import recall_at
from tests.contracts.vector_index import D, VectorIndexContract, unit_rows


class TestFlatIndex(VectorIndexContract):
    def make(self, dimension: int = D) -> NearestIndex:
        return VectorIndex(dimension)


class TestGraphIndex(VectorIndexContract):
    """The same with every index a graph, and no detour through exact search for small sets."""

    tolerance = 6e-3  # bfloat16

    @pytest.fixture(autouse=True)
    def _graphs_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        graphs_only(monkeypatch)

    def make(self, dimension: int = D) -> NearestIndex:
        return VectorIndex(dimension)


class TestReopenedIndex(VectorIndexContract):
    """The same with an index that was saved empty and is mapped from its file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAPPED_FROM_BYTES", 0)
        self.folder = tmp_path

    def make(self, dimension: int = D) -> NearestIndex:
        VectorIndex(dimension, "e", "s").save(self.folder / "i")
        return VectorIndex.open(self.folder / "i", "e", "s")


def graphs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT_MAX_SCALARS", 0)
    monkeypatch.setattr(module, "EXACT_ALLOWED", 0)


def clustered(count: int, seed: int, dimension: int = 64) -> Any:
    """(count, dimension) unit rows around the same 50 centres, whatever the seed."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((50, dimension))
    rows = centres[random.integers(0, 50, count)] + 0.6 * random.standard_normal((count, dimension))
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def small_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT_MAX_SCALARS", 2_000 * 64)
    monkeypatch.setattr(module, "EXACT_ALLOWED", 100)


def test_the_kind_follows_size_and_width() -> None:
    assert kind_for(1_000, 384) == kind_for(20_000, 768) == kind_for(40_000, 384) == "flat"
    assert kind_for(50_000, 768) == kind_for(50_000, 384) == "hnsw"


@pytest.mark.usefixtures("small_threshold")
def test_growing_past_the_threshold_builds_a_graph_and_states_its_recall(caplog: pytest.LogCaptureFixture) -> None:
    rows, index, oracle = clustered(6_000, 1), VectorIndex(64), ExactIndex(64)
    oracle.add(np.arange(6_000), rows)
    index.add(np.arange(1_500), rows[:1_500])
    assert index.kind == "flat" and index.report.recall.near == 1.0
    with caplog.at_level(logging.INFO):
        index.add(np.arange(1_500, 3_000), rows[1_500:3_000])
    assert index.kind == "hnsw"
    assert index.report.recall.meets(0.995, 0.99)
    assert "recall@10" in caplog.text
    index.add(np.arange(3_000, 6_000), rows[3_000:])  # onto the graph, without a rebuild; measured again
    assert len(index) == index.report.count == 6_000
    queries = clustered(60, 2)
    assert recall_at(index.search(queries, 10), oracle.search(queries, 10)) > 0.97


@pytest.mark.usefixtures("small_threshold")
def test_rows_that_come_one_topic_after_another_are_found_as_well_under_their_numbers() -> None:
    """Folders come topic by topic; the graph is linked in a random order and moved, and numbers follow their rows."""
    rows = clustered(3_000, 1)
    by_topic = rows[np.argsort(rows[:, 0])]
    index, oracle = VectorIndex(64), ExactIndex(64)
    numbers = np.random.default_rng(5).permutation(9_000)[:3_000]
    index.add(numbers, by_topic)
    oracle.add(numbers, by_topic)
    assert index.kind == "hnsw" and index.numbers().tolist() == sorted(numbers.tolist())
    assert np.abs(index.vectors(numbers) - by_topic).max() < 0.01  # bfloat16
    queries = clustered(60, 2)
    assert recall_at(index.search(queries, 10), oracle.search(queries, 10)) > 0.97


@pytest.mark.usefixtures("small_threshold")
def test_a_graph_that_misses_its_recall_is_given_up_for_exact_search(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RECALL_NEAR", 1.01)
    index = VectorIndex(64)
    index.add(np.arange(3_000), clustered(3_000, 1))
    assert index.kind == "flat"
    assert "exact instead" in caplog.text
    index.add(np.arange(3_000, 3_100), clustered(100, 3))
    assert index.kind == "flat" and len(index) == 3_100


@pytest.mark.usefixtures("small_threshold")
def test_recall_stays_after_a_third_was_removed_and_replaced_and_tidy_drops_the_dead() -> None:
    rows, fresh = clustered(4_000, 1), clustered(1_300, 7)
    index, oracle = VectorIndex(64), ExactIndex(64)
    index.add(np.arange(4_000), rows)
    gone = np.random.default_rng(0).permutation(4_000)[:1_300]
    assert index.remove(gone) == 1_300
    index.add(np.arange(4_000, 5_300), fresh)
    oracle.add(np.arange(4_000), rows)
    oracle.remove(gone)
    oracle.add(np.arange(4_000, 5_300), fresh)
    queries = clustered(80, 2)
    truth = oracle.search(queries, 10)
    assert recall_at(index.search(queries, 10), truth) >= 0.97
    assert index.dead == 1_300 and not index.tidy()
    index.remove(np.arange(4_000, 4_600))
    oracle.remove(np.arange(4_000, 4_600))
    assert index.tidy() and index.dead == 0
    assert index.numbers().tolist() == oracle.numbers().tolist()
    assert recall_at(index.search(queries, 10), oracle.search(queries, 10)) >= 0.97
    index.remove(index.numbers()[:-500])
    assert index.tidy() and index.kind == "flat"


@pytest.mark.usefixtures("small_threshold")
@pytest.mark.parametrize("allowed_count", [3, 80, 400, 3_900])
def test_filters_on_a_graph_find_what_exact_search_finds(allowed_count: int) -> None:
    rows, index, oracle = clustered(4_000, 1), VectorIndex(64), ExactIndex(64)
    index.add(np.arange(4_000), rows)
    oracle.add(np.arange(4_000), rows)
    allowed = np.random.default_rng(3).permutation(4_000)[:allowed_count]
    queries = clustered(30, 5)
    found, truth = index.search(queries, 10, allowed), oracle.search(queries, 10, allowed)
    assert {len(n.numbers) for n in found} == {min(10, allowed_count)}
    assert recall_at(found, truth) >= 0.96


@pytest.mark.usefixtures("small_threshold")
@pytest.mark.parametrize("count", [0, 1, 500, 3_000])
@pytest.mark.parametrize("mapped_from", [0, 1 << 40], ids=["mapped", "read"])
def test_a_saved_index_answers_the_same_after_opening_and_can_be_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, mapped_from: int
) -> None:
    monkeypatch.setattr(module, "MAPPED_FROM_BYTES", mapped_from)
    index, path, queries = VectorIndex(64, "enc", "abc"), tmp_path / "text.index", clustered(10, 5)
    index.add(np.arange(count), clustered(count, 1)) if count else None
    index.remove(np.arange(0, count, 7))
    index.save(path)
    again = VectorIndex.open(path, "enc", "abc")
    assert (again.kind, len(again), again.dead, again.report) == (index.kind, len(index), index.dead, again.report)
    assert again.report.recall == index.report.recall
    for a, b in zip(index.search(queries, 10), again.search(queries, 10), strict=True):
        assert a.numbers.tolist() == b.numbers.tolist() and a.scores.tolist() == b.scores.tolist()
    again.add(np.array([100_000]), queries[:1])
    assert again.search(queries[:1], 1)[0].numbers.tolist() == [100_000]
    again.save(path)
    assert len(VectorIndex.open(path, "enc", "abc")) == len(index) + 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text.index", "text.index.checked"]


def test_another_encoder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    VectorIndex(8, "one", "aaa").save(tmp_path / "i")
    for encoder, sha256 in (("two", "aaa"), ("one", "bbb")):
        with pytest.raises(IndexUnusable, match="Build it again"):
            VectorIndex.open(tmp_path / "i", encoder, sha256)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 0.999])
def test_a_changed_byte_is_noticed_before_faiss_reads_the_file(tmp_path: Path, place: float) -> None:
    index, path = VectorIndex(32, "e", "s"), tmp_path / "i"
    index.add(np.arange(200), unit_rows(200, 1, 32))
    index.save(path)
    VectorIndex.open(path, "e", "s")
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)
    with pytest.raises(IndexUnusable):
        VectorIndex.open(path, "e", "s")


def test_files_that_are_cut_foreign_or_empty_are_refused(tmp_path: Path) -> None:
    index, path = VectorIndex(32, "e", "s"), tmp_path / "i"
    index.add(np.arange(200), unit_rows(200, 1, 32))
    index.save(path)
    content = path.read_bytes()
    for wrong in (b"", b"x" * 500, content[:-1], content[1:], content[: len(content) // 2], content + b"0"):
        path.write_bytes(wrong)
        with pytest.raises(IndexUnusable):
            VectorIndex.open(path, "e", "s")
    with pytest.raises(IndexUnusable):
        VectorIndex.open(tmp_path / "nothing", "e", "s")


def test_an_open_that_was_checked_before_reads_no_vectors_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import retrieval.vectors.snapshot as snapshot

    path, hashed = tmp_path / "i", []
    VectorIndex(8, "e", "s").save(path)
    real = snapshot._sha256
    monkeypatch.setattr(snapshot, "_sha256", lambda *a: hashed.append(a) or real(*a))
    VectorIndex.open(path, "e", "s")
    assert hashed == []
    os.utime(path)  # touched: may have been changed
    VectorIndex.open(path, "e", "s")
    VectorIndex.open(path, "e", "s")
    assert len(hashed) == 1


def test_a_folder_that_cannot_be_written_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputUnwritable):
        VectorIndex(8, "e", "s").save(tmp_path / "file" / "i")
    index, path = VectorIndex(8, "e", "s"), tmp_path / "i"
    index.save(path)
    before = path.read_bytes()

    def no_space(_: Path) -> None:
        raise OSError(28, "No space left on device")

    index._rows.write = no_space  # type: ignore[method-assign]
    with pytest.raises(OutputUnwritable, match="No space left"):
        index.save(path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "i", "i.checked"]


def test_faiss_errors_leave_as_ours(tmp_path: Path) -> None:
    from retrieval.vectors.faiss_rows import FaissRows

    with pytest.raises(IndexUnusable):
        FaissRows.open(tmp_path / "nothing", mapped=False)
    (tmp_path / "junk").write_bytes(b"junk" * 100)
    with pytest.raises(IndexUnusable):
        FaissRows.open(tmp_path / "junk", mapped=True)
    with pytest.raises(IndexUnusable):
        FaissRows.empty("flat", 8).search(np.zeros((1, 9), np.float32), 1)
