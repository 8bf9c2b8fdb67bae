"""Assignment: the global decision, which picture stands in which slot; each used at most once.

1 compete  pictures that want the same slot push one another to their next best (mean field)
2 credit   a slot is worth what is won there on average: a near miss is better than a far one
3 assign   the best sum over all pictures, one a slot, found exactly (linear assignment)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["assign", "compete", "credit"]

Table = NDArray[np.float64]

ROUNDS = 15
# What a picture one slot beside its place is worth, and what a full text's length of distance costs.
NEXT_SLOT_CREDIT = 0.25
DISTANCE_COST = 0.25
EPS = 1e-9


def compete(posterior: Table) -> Table:
    """(K, S) the same rows after each picture has heard which slots the others are likely to take."""
    if len(posterior) < 2:
        return posterior
    claim = posterior.copy()
    own = np.log(posterior + EPS)
    for _ in range(ROUNDS):
        free = np.log1p(-np.minimum(claim, 0.999))
        utility = own + free.sum(axis=0) - free
        utility = np.exp(utility - utility.max(axis=1, keepdims=True))
        claim = 0.5 * claim + 0.5 * utility / utility.sum(axis=1, keepdims=True)
    return np.asarray(claim, dtype=np.float64)


def credit(posterior: Table) -> Table:
    """(K, S) expected worth of each slot: 1 where the picture belongs, less beside it, less the farther away."""
    n_slots = posterior.shape[1]
    distance = np.abs(np.arange(n_slots)[:, None] - np.arange(n_slots)[None, :])
    worth = (distance == 0) + NEXT_SLOT_CREDIT * (distance <= 1) - DISTANCE_COST * distance / max(1, n_slots - 1)
    return np.asarray(posterior @ worth, dtype=np.float64)


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
    rows, columns = linear_sum_assignment(-table)
    pairs = [(wanted[r], slots[c]) for r, c in zip(rows.tolist(), columns.tolist(), strict=True)]
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]))
