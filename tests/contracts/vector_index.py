"""The contract of nearest.py as a suite: a subclass gives `make`, and runs on exact search and on FAISS alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interleaf.errors import RetrievalError
from retrieval.vectors.nearest import NearestIndex

D = 24


def unit_rows(count: int, seed: int, dimension: int = D) -> Any:
    """(count, dimension) random unit rows."""
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class VectorIndexContract:
    """What every NearestIndex promises. `tolerance`: how far a score may be from the true cosine."""

    tolerance = 1e-5

    def make(self, dimension: int = D) -> NearestIndex:
        raise NotImplementedError

    def filled(self, count: int = 300, seed: int = 1) -> tuple[NearestIndex, Any, Any]:
        index, rows = self.make(), unit_rows(count, seed)
        numbers = np.arange(count, dtype=np.int64) * 3 + 5
        index.add(numbers, rows)
        return index, numbers, rows

    def test_each_vector_finds_itself_first(self) -> None:
        index, numbers, rows = self.filled()
        found = index.search(rows[:40], 1)
        assert [int(n.numbers[0]) for n in found] == numbers[:40].tolist()
        assert np.allclose([n.scores[0] for n in found], 1, atol=self.tolerance)

    def test_results_are_sorted_scored_and_never_minus_one(self) -> None:
        index, numbers, rows = self.filled()
        by_number = dict(zip(numbers.tolist(), rows, strict=True))
        query = unit_rows(1, 9)
        (found,) = index.search(query, 25)
        assert len(found.numbers) == len(set(found.numbers.tolist())) == 25
        assert (np.diff(found.scores) <= 0).all()
        assert (found.numbers >= 0).all()
        true = [float(by_number[int(n)] @ query[0]) for n in found.numbers]
        assert np.allclose(found.scores, true, atol=self.tolerance)

    def test_asking_for_more_than_there_is_gives_what_there_is(self) -> None:
        index, numbers, _ = self.filled(count=7)
        (found,) = index.search(unit_rows(1, 2), 100)
        assert sorted(found.numbers.tolist()) == numbers.tolist()

    def test_an_empty_index_finds_nothing(self) -> None:
        index = self.make()
        found = index.search(unit_rows(3, 2), 5)
        assert [len(n.numbers) for n in found] == [0, 0, 0]
        assert len(index) == 0
        assert index.remove(np.array([1, 2])) == 0

    def test_no_queries_give_no_answers_and_k_of_zero_gives_empty_ones(self) -> None:
        index, _, rows = self.filled()
        assert index.search(rows[:0], 5) == []
        assert [len(n.numbers) for n in index.search(rows[:2], 0)] == [0, 0]

    @pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
    @pytest.mark.parametrize("queries", [1, 6])
    def test_filters_hold_before_ranking(self, share: float, queries: int) -> None:
        index, numbers, rows = self.filled(count=400)
        kept = np.random.default_rng(4).random(400) < share
        kept[0] = True
        asked = unit_rows(queries, 11)
        found = index.search(asked, 10, numbers[kept])
        wanted = min(10, int(kept.sum()))
        for one, query in zip(found, asked, strict=True):
            assert len(one.numbers) == wanted
            assert set(one.numbers.tolist()) <= set(numbers[kept].tolist())
            assert one.scores[0] == pytest.approx(float((rows[kept] @ query).max()), abs=max(self.tolerance, 0.02))

    def test_allowed_numbers_that_are_unknown_or_doubled_change_nothing(self) -> None:
        index, numbers, rows = self.filled()
        allowed = np.array([numbers[3], numbers[3], 999_999, 0])
        (found,) = index.search(rows[:1], 5, allowed)
        assert found.numbers.tolist() == [numbers[3]]
        assert [len(n.numbers) for n in index.search(rows[:1], 5, np.zeros(0, np.int64))] == [0]

    def test_a_removed_number_is_invisible_at_once_and_may_come_again(self) -> None:
        index, numbers, rows = self.filled()
        assert index.remove(numbers[[10, 20]]) == 2
        assert index.remove(numbers[[10, 20]]) == 0
        assert len(index) == 298
        for n in index.search(rows[[10, 20]], 50) + index.search(rows[[10, 20]], 50, numbers):
            assert not set(n.numbers.tolist()) & {int(numbers[10]), int(numbers[20])}
        with pytest.raises(RetrievalError):
            index.vectors(numbers[[10]])
        index.add(numbers[[10]], rows[[20]])
        assert index.search(rows[[20]], 1)[0].numbers.tolist() == [numbers[10]]
        assert numbers[10] in index.numbers() and numbers[20] not in index.numbers()
        assert np.allclose(index.vectors(numbers[[10]]), rows[[20]], atol=5e-3)
        assert index.remove(numbers[[10]]) == 1
        assert index.remove(numbers[[10]]) == 0

    def test_numbers_in_any_order(self) -> None:
        index, rows = self.make(), unit_rows(50, 3)
        numbers = np.random.default_rng(0).permutation(50).astype(np.int64)
        index.add(numbers[:30], rows[:30])
        index.add(numbers[30:], rows[30:])
        assert index.numbers().tolist() == list(range(50))
        assert index.holds(np.array([49, 50, 0, 0])).tolist() == [True, False, True, True]
        assert np.allclose(index.vectors(numbers), rows, atol=5e-3)
        assert [int(n.numbers[0]) for n in index.search(rows, 1)] == numbers.tolist()

    def test_equal_scores_are_ordered_by_number(self) -> None:
        index = self.make()
        index.add(np.array([9, 2, 7]), np.repeat(unit_rows(1, 1), 3, axis=0))
        assert index.search(unit_rows(1, 1), 3)[0].numbers.tolist() == [2, 7, 9]

    @pytest.mark.parametrize(
        "vectors",
        [
            np.ones((2, D), np.float32),
            unit_rows(2, 1).astype(np.float64),
            unit_rows(2, 1)[:, : D - 1],
            unit_rows(1, 1)[0],
            unit_rows(3, 1),
            np.full((2, D), np.nan, np.float32),
            np.full((2, D), np.inf, np.float32),
        ],
        ids=["not unit", "float64", "narrow", "flat", "too many", "nan", "infinite"],
    )
    def test_wrong_vectors_are_refused_and_change_nothing(self, vectors: Any) -> None:
        index, numbers, _ = self.filled()
        with pytest.raises(RetrievalError):
            index.add(np.array([100_000, 100_001]), vectors)
        assert index.numbers().tolist() == numbers.tolist()

    @pytest.mark.parametrize("numbers", [[5, 100_000], [100_000, 100_000], [-1, 100_000], [0.5, 1.5], [[1], [2]]])
    def test_wrong_numbers_are_refused_and_change_nothing(self, numbers: Any) -> None:
        index, kept, _ = self.filled()
        with pytest.raises(RetrievalError):
            index.add(np.array(numbers), unit_rows(2, 1))
        assert index.numbers().tolist() == kept.tolist()

    @pytest.mark.parametrize("query", [np.zeros((1, D + 1), np.float32), np.zeros(D, np.float32), np.zeros((1, D))])
    def test_wrong_queries_are_refused(self, query: Any) -> None:
        index, _, _ = self.filled()
        with pytest.raises(RetrievalError):
            index.search(query, 3)
        with pytest.raises(RetrievalError):
            index.search(np.full((1, D), np.nan, np.float32), 3)

    # The suite is inherited on purpose; without a database of examples no class replays another's.
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.differing_executors, HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=40), st.integers(1, 12))
    def test_any_history_leaves_the_set_that_bookkeeping_says(self, steps: list[tuple[bool, int]], k: int) -> None:
        index, rows, kept = self.make(), unit_rows(31, 5), set[int]()
        for adds, number in steps:
            if adds and number not in kept:
                index.add(np.array([number]), rows[[number]])
                kept.add(number)
            elif not adds:
                assert index.remove(np.array([number])) == (number in kept)
                kept.discard(number)
        assert index.numbers().tolist() == sorted(kept)
        assert len(index) == len(kept)
        (found,) = index.search(unit_rows(1, 8), k)
        assert len(found.numbers) == min(k, len(kept))
        assert set(found.numbers.tolist()) <= kept
