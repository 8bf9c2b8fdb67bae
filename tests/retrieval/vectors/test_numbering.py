"""Numbering agrees with a plain dictionary after any history, in any order of numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrieval.vectors.numbering import Numbering


@given(st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 12), max_size=5)), max_size=30))
def test_positions_are_those_of_a_dictionary(steps: list[tuple[bool, set[int]]]) -> None:
    numbering, model, rows = Numbering(np.zeros(0, np.int64)), dict[int, int](), 0
    for adds, numbers in steps:
        if adds:
            new = sorted(numbers - set(model), reverse=True)
            numbering.append(np.array(new, np.int64))
            model.update({number: rows + i for i, number in enumerate(new)})
            rows += len(new)
        else:
            assert numbering.drop(np.array(sorted(numbers), np.int64)) == len(numbers & set(model))
            model = {number: at for number, at in model.items() if number not in numbers}
    asked = np.arange(-1, 14)
    assert numbering.positions(asked).tolist() == [model.get(int(number), -1) for number in asked]
    assert (len(numbering), numbering.live, numbering.dead) == (rows, len(model), rows - len(model))
    assert np.unpackbits(numbering.bits, count=rows, bitorder="little").astype(bool).tolist() == [
        at in model.values() for at in range(rows)
    ]
    mask, total = numbering.mask(np.arange(6))
    assert np.flatnonzero(mask).tolist() == sorted(at for number, at in model.items() if number < 6)
    assert total == mask.sum()


def test_what_is_appended_after_a_look_up_is_merged_into_the_order() -> None:
    numbering, fresh = Numbering(np.array([30, 10, 20])), Numbering(np.array([30, 10, 20]))
    assert numbering.positions(np.array([10, 20, 30, 40])).tolist() == [1, 2, 0, -1]
    numbering.append(np.array([25, 5, 40]))
    fresh.append(np.array([25, 5, 40]))  # here no order was made yet
    asked = np.array([5, 10, 20, 25, 30, 40, 50])
    assert numbering.positions(asked).tolist() == fresh.positions(asked).tolist() == [4, 1, 2, 3, 0, 5, -1]
