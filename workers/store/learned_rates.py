"""Learned rates: what each part of the work takes for each unit of it, by what past jobs took; arithmetic alone.

The parts of all jobs are measured in one unit, so that one rate for all of them is a fair guess: the median of what
past jobs took for each unit. Each part's own rate moves away from it as far as past jobs ask for: so that the sum of
relative errors is small, an error counting as it is and not by its square. And whatever the parts, what is foretold
lies between what past jobs took for each unit on the whole, the two outermost left aside. So no single job that went
wrong moves it far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from statistics import median
from typing import Final

__all__ = ["LearnedRates", "learn"]

Parts = Sequence[float]

PULL: Final = 1.0
"""How many jobs of no error the common rate counts as, for each part."""
ROUNDS: Final = 8
SWEEPS: Final = 30
NEAR: Final = 0.1
"""Errors below this share count by their square: among those there is no telling right from wrong."""
LEAST: Final = 1e-6
"""Of the common rate: nothing is foretold to take less, for one divides by it."""


@dataclass(frozen=True)
class LearnedRates:
    """By part, what a unit of it takes."""

    rates: tuple[float, ...]
    least: float
    """For a unit of the whole."""
    most: float

    def foretold(self, parts: Parts) -> float:
        """What work of these parts takes. More work never takes less."""
        load = fsum(parts)
        likely = fsum(rate * part for rate, part in zip(self.rates, parts, strict=True))
        return min(max(likely, self.least * load), self.most * load)


def learn(parts: Sequence[Parts], took: Sequence[float]) -> tuple[LearnedRates, list[LearnedRates]]:
    """What past jobs teach, and for each of them what the others do. At least three jobs, each of which has work; what
    they took for each unit of it has a median that is no trifle."""
    common = median(amount / fsum(one) for one, amount in zip(parts, took, strict=True))
    # In units of the common rate, so that it is 1 whatever is measured.
    amounts = [amount / common for amount in took]
    each = sorted(amount / fsum(one) for one, amount in zip(parts, amounts, strict=True))
    # One that is outermost for being wrong is one of two at most.
    least, most = max(each[1], LEAST), each[-2]
    rates = [1.0] * len(parts[0])
    sums = _Sums(parts, amounts, [0.0] * len(parts))
    for _ in range(ROUNDS):
        now = LearnedRates(tuple(rates), least, most)
        weights = []
        for one, amount in zip(parts, amounts, strict=True):
            likely = now.foretold(one)
            weights.append(1 / (likely * likely * max(abs(amount - likely) / likely, NEAR)))
        sums = _Sums(parts, amounts, weights)
        rates = _solved(sums.table, sums.wanted, rates)

    def measured(found: Sequence[float]) -> LearnedRates:
        return LearnedRates(tuple(common * rate for rate in found), common * least, common * most)

    return measured(rates), [measured(_solved(*sums.without(n), rates)) for n in range(len(parts))]


class _Sums:
    """What the least squares need of all jobs; one of them can be taken out."""

    def __init__(self, parts: Sequence[Parts], took: Sequence[float], weights: Sequence[float]) -> None:
        count = range(len(parts[0]))
        self._jobs = list(zip(parts, took, weights, strict=True))
        # Exact sums: the order of the jobs must not show.
        self.table = [[fsum(w * one[i] * one[j] for one, _, w in self._jobs) for j in count] for i in count]
        self.wanted = [fsum(w * one[i] * amount for one, amount, w in self._jobs) for i in count]

    def without(self, n: int) -> tuple[list[list[float]], list[float]]:
        """The sums of all jobs but the n-th."""
        one, amount, weight = self._jobs[n]
        table = [
            [whole - weight * a * b for whole, b in zip(row, one, strict=True)]
            for row, a in zip(self.table, one, strict=True)
        ]
        return table, [whole - weight * a * amount for whole, a in zip(self.wanted, one, strict=True)]


def _solved(table: list[list[float]], wanted: list[float], start: Sequence[float]) -> list[float]:
    """The rates of the least squares, each pulled towards the common one, which is 1; none below nothing."""
    rates = list(start)
    for _ in range(SWEEPS):
        for i, row in enumerate(table):
            others = fsum(row[j] * rate for j, rate in enumerate(rates) if j != i)
            rates[i] = max(0.0, (wanted[i] + PULL - others) / (max(row[i], 0.0) + PULL))
    return rates
