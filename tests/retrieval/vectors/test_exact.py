"""Exact search keeps the contract, and agrees with a loop that compares one pair at a time."""

from __future__ import annotations

import numpy as np

from retrieval.vectors.exact import ExactIndex
from retrieval.vectors.nearest import NearestIndex
from tests.contracts.vector_index import D, VectorIndexContract, unit_rows


class TestExactIndex(VectorIndexContract):
    def make(self, dimension: int = D) -> NearestIndex:
        return ExactIndex(dimension)


def test_it_is_what_a_plain_loop_finds() -> None:
    index, rows, queries = ExactIndex(D), unit_rows(60, 1), unit_rows(5, 2)
    index.add(np.arange(60), rows)
    for query, found in zip(queries, index.search(queries, 10), strict=True):
        scores = [sum(float(a) * float(b) for a, b in zip(row, query, strict=True)) for row in rows]
        assert found.numbers.tolist() == sorted(range(60), key=lambda n: -scores[n])[:10]


def test_ties_at_the_edge_of_k_go_to_the_lower_numbers() -> None:
    index = ExactIndex(D)
    index.add(np.array([8, 3, 5, 1]), np.repeat(unit_rows(1, 1), 4, axis=0))
    assert index.search(unit_rows(1, 1), 2)[0].numbers.tolist() == [1, 3]


def test_many_queries_in_blocks_are_the_same_as_one_by_one(monkeypatch: object) -> None:
    import retrieval.vectors.exact as module

    index, queries = ExactIndex(D), unit_rows(9, 2)
    index.add(np.arange(50), unit_rows(50, 1))
    alone = [index.search(query[None], 7)[0].numbers.tolist() for query in queries]
    kept = module.BLOCK_SCORES
    try:
        module.BLOCK_SCORES = 100  # type: ignore[misc]
        assert [n.numbers.tolist() for n in index.search(queries, 7)] == alone
    finally:
        module.BLOCK_SCORES = kept  # type: ignore[misc]
