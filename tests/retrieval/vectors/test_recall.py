"""Recall counts shared numbers; its probes are repeatable and of the two kinds they claim to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.vectors.nearest import Neighbours
from retrieval.vectors.recall import MAX_EFFORT, K, Recall, least_effort, probes, recall_at
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


@given(st.integers(1, MAX_EFFORT))
def test_the_least_effort_is_found_to_a_sixteenth_with_few_measurements(least: int) -> None:
    measured: list[int] = []

    def reached(effort: int) -> Recall:
        measured.append(effort)
        return Recall(0.999 if effort >= least else 0.5, 0.985)

    effort, recall = least_effort(reached, 0.99, 0.98)
    assert recall.meets(0.99, 0.98)
    assert max(least, K) <= effort <= max(least * (1 + 1 / 14), least + 1, K)
    assert len(measured) == len(set(measured)) <= 12


def test_where_no_effort_is_enough_the_greatest_and_its_shortfall_are_told() -> None:
    assert least_effort(lambda effort: Recall(0.5, 0.5), 0.99, 0.98) == (MAX_EFFORT, Recall(0.5, 0.5))
