"""Assignment: the decision is the best of all decisions, pictures yield to one another, a near miss is worth more."""

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.placing.assignment import assign, compete, credit


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_no_other_choice_of_slots_is_better(n_pictures: int, n_slots: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((n_pictures, n_slots))
    worth = np.linspace(1.0, 0.5, n_pictures)
    pairs = assign(values, worth, [True] * n_slots, None)
    placed = min(n_pictures, n_slots)
    assert len(pairs) == placed
    assert [k for k, _ in sorted(pairs)] == list(range(placed))
    best = max(sum(values[k, s] for k, s in enumerate(order)) for order in permutations(range(n_slots), placed))
    assert abs(sum(values[k, s] for k, s in pairs) - best) < 1e-9


def test_closed_slots_and_worthless_pictures_take_no_part() -> None:
    values = np.ones((3, 3))
    assert assign(values, np.array([1.0, 0.0, 0.5]), [False, True, True], None) == [(0, 1), (2, 2)]
    assert assign(values, np.array([0.2, 0.9, 0.5]), [True, True, True], 1) == [(1, 0)]
    assert assign(values, np.zeros(3), [True, True, True], None) == []


def test_the_weaker_claim_yields_to_the_stronger() -> None:
    posterior = np.array([[0.9, 0.05, 0.05], [0.5, 0.45, 0.05]])
    after = compete(posterior)
    assert after[0, 0] > 0.9
    assert after[1].argmax() == 1
    assert np.allclose(after.sum(axis=1), 1.0)


def test_credit_prefers_the_middle_of_a_divided_opinion() -> None:
    worth = credit(np.array([[0.34, 0.0, 0.33, 0.33, 0.0, 0.0]]))
    assert worth[0].argmax() in (2, 3)
    assert credit(np.eye(4))[1].argmax() == 1
