"""Knapsack: the best units, in order, for a number of words; an exact dynamic programme.

Letters: N units, W words. Unit k is worth `values[k]` and costs `weights[k]` words. Beginning a run in the
middle of the text costs, leaving a paragraph early costs a little, so that neighbours are taken together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Item", "choose_items"]

# More words than this are counted in coarser steps: N·W stays small for a book.
MAX_STEPS = 4_000
# How far from the wanted words the answer may be, tried in order; the first that can be met decides.
TOLERANCES = (0.015, 0.03, 0.05, 0.08, 0.12, 0.2, 0.35, 1.0)
OVERSHOOT = 1.36
_NEVER = -1e18


@dataclass(frozen=True)
class Item:
    """One unit. `follows`: it stands right after the one before it. `start_cost` is paid when it is taken and
    the one before it is not; `stop_cost` when the one before it is taken and it is not."""

    weight: int
    value: float
    follows: bool = False
    start_cost: float = 0.0
    stop_cost: float = 0.0
    needs_previous: bool = False
    needs_next: bool = False
    is_usable: bool = True


def choose_items(items: Sequence[Item], wanted: int) -> list[int]:
    """Indices of the chosen items, ascending. Their weights come as close to `wanted` as TOLERANCES asks for,
    and among those choices theirs is the greatest value. Empty only when nothing can be chosen."""
    if not items or wanted <= 0:
        return []
    step = max(1, -(-wanted // MAX_STEPS))
    weights = [max(1, round(item.weight / step)) for item in items]
    goal = max(1, round(wanted / step))
    smallest = min((w for w, item in zip(weights, items, strict=True) if item.is_usable), default=0)
    if smallest == 0:
        return []
    # A need for the next may make even the smallest choice larger than the goal allows.
    limit = min(sum(weights), max(int(goal * OVERSHOOT) + 2, smallest))
    taken = _solve(items, weights, goal, limit)
    return taken if taken or limit >= sum(weights) else _solve(items, weights, goal, sum(weights))


def _solve(items: Sequence[Item], weights: Sequence[int], goal: int, limit: int) -> list[int]:
    count = len(items)
    size = limit + 1
    left = np.full(size, _NEVER)  # best value with the last unit left out, by words
    took = np.full(size, _NEVER)  # the same with the last unit taken
    left[0] = 0.0
    left_from_took = np.zeros((count, size), dtype=bool)
    took_from_took = np.zeros((count, size), dtype=bool)
    for k, item in enumerate(items):
        may_stop = k == 0 or not items[k - 1].needs_next
        stopped = took - (item.stop_cost if item.follows else 0.0) if may_stop else np.full(size, _NEVER)
        left_from_took[k] = stopped > left
        new_left = np.maximum(left, stopped)
        new_took = np.full(size, _NEVER)
        weight = weights[k]
        if item.is_usable and weight <= limit:
            go_on = took[: size - weight] if item.follows else stopped[: size - weight] - item.start_cost
            if item.needs_previous:
                begin = np.full(size - weight, _NEVER)
                if not item.follows:
                    go_on = begin
            else:
                begin = left[: size - weight] - item.start_cost
            took_from_took[k, weight:] = go_on > begin
            new_took[weight:] = np.maximum(go_on, begin) + item.value
        left, took = new_left, new_took
    if items[-1].needs_next:
        took = np.full(size, _NEVER)
    return _read_back(weights, left, took, left_from_took, took_from_took, goal)


def _read_back(
    weights: Sequence[int],
    left: NDArray[np.float64],
    took: NDArray[np.float64],
    left_from_took: NDArray[np.bool_],
    took_from_took: NDArray[np.bool_],
    goal: int,
) -> list[int]:
    best = np.maximum(left, took)
    words = np.arange(len(best))
    possible = (best > _NEVER / 2) & (words > 0)
    if not possible.any():
        return []
    for tolerance in TOLERANCES:
        near = possible & (np.abs(words - goal) <= max(1.0, tolerance * goal))
        if near.any():
            break
    else:
        near = possible & (np.abs(words - goal) == np.abs(words[possible] - goal).min())
    # Values grow with words; a word more must not pay for itself.
    scored = np.where(near, best - np.abs(words - goal) - 0.5 * np.maximum(0, words - goal), -np.inf)
    at = int(np.argmax(scored))
    is_taken = bool(took[at] > left[at])
    chosen: list[int] = []
    for k in range(len(weights) - 1, -1, -1):
        if is_taken:
            chosen.append(k)
            is_taken = bool(took_from_took[k, at])
            at -= weights[k]
        else:
            is_taken = bool(left_from_took[k, at])
    return chosen[::-1]
