"""Recall counts shared numbers; its probes are repeatable and of the two kinds they claim to be."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.nearest import Neighbours
from retrieval.recall import Recall, probes, recall_at
from tests.contracts.vector_index import unit_rows


def neighbours(*numbers: int) -> Neighbours:
    return Neighbours(np.array(numbers, np.int64), np.zeros(len(numbers), np.float32))


def test_recall_is_the_mean_share_of_true_neighbours() -> None:
    truth = [neighbours(1, 2, 3, 4), neighbours(5, 6), neighbours()]
    assert recall_at([neighbours(4, 3, 9, 8), neighbours(6, 5), neighbours()], truth) == pytest.approx(0.75)
    assert recall_at([neighbours(), neighbours(), neighbours()], truth) == 0.0
    assert recall_at([], []) == 1.0


def test_probes_repeat_and_near_ones_are_nearer_than_far_ones() -> None:
    rows = unit_rows(500, 3, 128)
    near, far = probes(rows, 64)
    again = probes(rows, 64)
    assert (near == again[0]).all() and (far == again[1]).all()
    assert np.allclose(np.linalg.norm(np.concatenate([near, far]), axis=1), 1, atol=1e-5)
    assert (near @ rows.T).max(1).mean() > 0.85 > 0.8 > (far @ rows.T).max(1).mean()


def test_both_shares_must_be_reached() -> None:
    assert Recall(0.995, 0.985).meets(0.99, 0.98)
    assert not Recall(0.995, 0.97).meets(0.99, 0.98)
    assert not Recall(0.98, 0.99).meets(0.99, 0.98)
