"""Locality: every row once, the same each time, and near rows side by side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.vectors.locality import nearby_order
from tests.contracts.vector_index import unit_rows


@given(st.integers(0, 300), st.integers(0, 5))
def test_each_row_is_there_once_and_the_order_repeats(count: int, seed: int) -> None:
    rows = unit_rows(count, seed, 8) if count else np.zeros((0, 8), np.float32)
    order = nearby_order(rows)
    assert sorted(order.tolist()) == list(range(count))
    assert (order == nearby_order(rows)).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_of_one_cluster_stand_together(seed: int) -> None:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((20, 32))
    rows = (centres[random.integers(0, 20, 2_000)] + 0.3 * random.standard_normal((2_000, 32))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def beside(ordered: np.ndarray) -> float:
        return float((ordered[1:] * ordered[:-1]).sum(1).mean())

    assert beside(rows[nearby_order(rows)]) > 0.8 > 0.2 > beside(rows)
