"""Numbering agrees with a plain dictionary after any history, in any order of numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrieval.numbering import Numbering


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


def test_rising_numbers_need_no_order_of_their_own() -> None:
    numbering = Numbering(np.arange(0, 100, 2))
    numbering.append(np.arange(100, 110))
    assert numbering._order is None
    numbering.append(np.array([1]))
    assert numbering._order is not None and numbering.positions(np.array([1, 98])).tolist() == [60, 49]
