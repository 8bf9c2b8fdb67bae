"""Numbering: which number stands at which position of an index's rows, and which positions count.

Positions only grow. A number that is removed leaves its position without counting; added again, it gets another.
Letters: N positions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from retrieval.vectors.nearest import Numbers, checked_numbers

__all__ = ["Numbering"]


class Numbering:
    """Numbers by position: nine bytes for each, 25 from the first look-up on."""

    def __init__(self, numbers: Numbers, counted: NDArray[np.bool_] | None = None) -> None:
        self.numbers = numbers  # (N,) by position
        self.counted = np.ones(len(numbers), bool) if counted is None else counted  # (N,) by position
        self.dead = int(len(numbers) - np.count_nonzero(self.counted))
        # (positions by rising number, those numbers); made at the first look-up, which plain searches never do
        self._order: tuple[Numbers, Numbers] | None = None
        self._bits: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        """How many positions there are, counted or not."""
        return len(self.numbers)

    @property
    def live(self) -> int:
        """How many positions count."""
        return len(self.numbers) - self.dead

    @property
    def bits(self) -> NDArray[np.uint8]:
        """`counted`, one bit a position, lowest first; packed at the first call after a change."""
        if self._bits is None:
            self._bits = np.packbits(self.counted, bitorder="little")
        return self._bits

    def append(self, numbers: Numbers) -> None:
        """New positions at the end, for numbers that are not there."""
        if self._order is not None:
            # Merged into what is sorted: a sort of everything at each append would cost more than the append.
            order, ordered = self._order
            given = np.argsort(numbers, kind="stable")
            at = np.searchsorted(ordered, numbers[given], side="right")
            self._order = np.insert(order, at, len(self) + given), np.insert(ordered, at, numbers[given])
        self.numbers = np.concatenate([self.numbers, numbers])
        self.counted = np.concatenate([self.counted, np.ones(len(numbers), bool)])
        self._bits = None

    def drop(self, numbers: Numbers) -> int:
        """Let these numbers count no more; how many were there."""
        positions = self.positions(np.unique(checked_numbers(numbers)))
        positions = positions[positions >= 0]
        self.counted[positions] = False
        self.dead, self._bits = self.dead + len(positions), None
        return len(positions)

    def positions(self, numbers: Numbers) -> Numbers:
        """(len(numbers),) counted positions, -1 for numbers that are not there."""
        found = np.full(len(numbers), -1, np.int64)
        for positions in self._same_number(numbers):
            hit = (positions >= 0) & self.counted[positions]
            found[hit] = positions[hit]
        return found

    def mask(self, allowed: Numbers) -> tuple[NDArray[np.bool_], int]:
        """((N,) which positions hold an allowed number, how many)."""
        mask = np.zeros(len(self), bool)
        positions = self.positions(np.unique(checked_numbers(allowed)))
        mask[positions[positions >= 0]] = True
        return mask, int(np.count_nonzero(mask))

    def _same_number(self, numbers: Numbers) -> Iterator[Numbers]:
        """Positions that hold these numbers, once for each time that a number was added."""
        positions, ordered = self._sorted()
        if not len(ordered):
            return
        at = np.searchsorted(ordered, numbers, side="left")
        while True:
            inside = np.minimum(at, len(ordered) - 1)
            hit = (at < len(ordered)) & (ordered[inside] == numbers)
            if not hit.any():
                return
            yield np.where(hit, positions[inside], -1)
            at = at + 1

    def prepare(self) -> None:
        """Make the order for look-ups now, where time is spent anyway, rather than at the first of them."""
        self._sorted()

    def _sorted(self) -> tuple[Numbers, Numbers]:
        if self._order is None:
            order = np.argsort(self.numbers, kind="stable")
            self._order = order, self.numbers[order]
        return self._order
