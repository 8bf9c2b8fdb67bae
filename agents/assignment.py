"""Assignment: the global decision, which picture stands in which slot; each used at most once.

Solved exactly as a linear assignment over (picture, slot) values; a picture may also stay out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["assign"]

Table = NDArray[np.float64]
FORBIDDEN = -1e6


def assign(
    values: Table, worth: NDArray[np.float64], open_slots: Sequence[bool], most: int | None
) -> list[tuple[int, int]]:
    """(picture, slot) pairs, by slot, that maximise the sum of `values` (K, S), one picture a slot.

    Only pictures with `worth` (K,) above zero take part, at most `most` of them, the worthiest first;
    only slots that are open are used. Ties go to the earlier picture and slot.
    """
    slots = [s for s, is_open in enumerate(open_slots) if is_open]
    wanted = [k for k in sorted(range(len(worth)), key=lambda k: (-worth[k], k)) if worth[k] > 0]
    room = len(slots) if most is None else min(most, len(slots))
    wanted = sorted(wanted[:room])
    if not wanted or not slots:
        return []
    table = values[np.ix_(wanted, slots)]
    rows, columns = linear_sum_assignment(-np.maximum(table, FORBIDDEN))
    pairs = [(wanted[r], slots[c]) for r, c in zip(rows.tolist(), columns.tolist(), strict=True)]
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]))
