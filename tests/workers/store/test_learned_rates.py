"""Learned rates: what parts of the work take is found where past jobs show it, and no single job decides."""

from __future__ import annotations

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.store.learned_rates import LearnedRates, learn

works = st.tuples(*(st.floats(1, 1e4) for _ in range(4)))
jobs = st.lists(st.tuples(works, st.floats(0.01, 1e4)), min_size=5, max_size=25)


TRUE = LearnedRates((0.01, 0.01, 0.04, 0.003), 0.0, 1.0)


def drawn(count: int, seed: int = 1, noise: float = 0.0) -> tuple[list[list[float]], list[float]]:
    """Jobs whose notes take four times as long as their words, and their pictures a third."""
    chance = random.Random(seed)
    parts = [
        [100.0, chance.uniform(100, 1_500), chance.uniform(0, 2_000), chance.uniform(0, 400)] for _ in range(count)
    ]
    return parts, [TRUE.foretold(one) * chance.lognormvariate(0, noise) for one in parts]


def off(rates: LearnedRates) -> float:
    """The median error for jobs that were not seen."""
    return median(abs(rates.foretold(one) - truth) / truth for one, truth in zip(*drawn(200, seed=2), strict=True))


def common_rate(parts: list[list[float]], took: list[float]) -> LearnedRates:
    """The same for all parts."""
    common = median(truth / sum(one) for one, truth in zip(parts, took, strict=True))
    return LearnedRates((common,) * 4, 0.0, common)


def test_what_each_part_takes_is_found() -> None:
    seen = drawn(40)
    assert off(common_rate(*seen)) > 0.15
    assert off(learn(*seen)[0]) < 0.05
    noisy = drawn(40, noise=0.3)
    assert off(learn(*noisy)[0]) < 0.7 * off(common_rate(*noisy))


def test_a_few_jobs_that_went_wrong_are_not_believed() -> None:
    parts, took = drawn(40)
    for n in range(0, 40, 8):
        took[n] *= 50
    assert off(learn(parts, took)[0]) < 0.1


@given(jobs, works)
def test_what_is_foretold_lies_between_what_whole_jobs_took(
    found: list[tuple[tuple[float, ...], float]], work: tuple[float, ...]
) -> None:
    each = sorted(amount / sum(one) for one, amount in found)
    learned, by_others = learn([one for one, _ in found], [amount for _, amount in found])
    assert len(by_others) == len(found)
    for one in (learned, *by_others):
        assert all(rate >= 0 for rate in one.rates)
        said = one.foretold(work) / sum(work)
        assert each[0] * (1 - 1e-9) <= said <= each[-2] * (1 + 1e-9)
        assert one.foretold([part + 1 for part in work]) >= one.foretold(work), "more work never takes less"


def test_a_job_does_not_foretell_itself() -> None:
    parts, took = drawn(12, noise=0.5)
    learned, by_others = learn(parts, took)
    for n in range(12):
        without = abs(by_others[n].foretold(parts[n]) - took[n])
        assert without >= abs(learned.foretold(parts[n]) - took[n]) * (1 - 1e-9)
    assert any(others != learned for others in by_others)


@pytest.mark.parametrize("pace", [1e-6, 1.0, 1e6])
def test_the_unit_of_time_does_not_matter(pace: float) -> None:
    parts, took = drawn(15, noise=0.4)
    learned = learn(parts, took)[0]
    scaled = learn(parts, [amount * pace for amount in took])[0]
    assert scaled.rates == pytest.approx([rate * pace for rate in learned.rates], rel=1e-6)
