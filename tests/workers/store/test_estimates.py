"""Estimates: sound for any past, moved by no single job, judged by their own past."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interleaf.schema import Brief
from workers.store.estimates import MIN_JUDGED, MIN_SPREAD, Estimate, GivenFile, Order, PastJob, Span, estimate

counts = st.integers(0, 10_000)
orders = st.builds(
    Order,
    writer=st.sampled_from(["extractive", "xc25"]),
    words=st.integers(1, 50_000),
    source_chars=st.integers(0, 10**7),
    pictures=st.integers(0, 500),
    formats=st.integers(0, 6),
    most_pictures=st.none() | st.integers(0, 500),
    wants_pictures=st.none() | st.integers(0, 500),
)
pasts = st.builds(
    PastJob,
    order=orders,
    seconds=st.floats(0, 1e6),
    tokens=st.integers(0, 10**8),
    pictures_placed=st.integers(0, 500),
)


def spans(found: Estimate) -> list[Span]:
    return [found.seconds, found.tokens, found.pictures]


@given(orders, st.lists(pasts, max_size=30))
def test_it_is_sound_for_any_past(order: Order, past: list[PastJob]) -> None:
    found = estimate(order, past)
    assert found.basis == len(past)
    for span in spans(found):
        assert 0 <= span.low <= span.likely <= span.high < float("inf")
        assert span.error is None or 0 <= span.error < float("inf")
    for span in (found.seconds, found.tokens):
        assert (span.error is None) == (len(past) < MIN_JUDGED)
    if order.most_pictures is not None:
        assert found.pictures.high <= order.most_pictures
    if order.wants_pictures is not None:
        assert found.pictures.high <= order.wants_pictures


@given(orders, st.lists(pasts, max_size=12), st.randoms())
def test_the_order_of_the_past_does_not_matter(order: Order, past: list[PastJob], chance: Any) -> None:
    shuffled = list(past)
    chance.shuffle(shuffled)
    assert estimate(order, shuffled) == estimate(order, past)


@given(orders, orders, st.floats(0.1, 1e5), st.integers(1, 20))
def test_jobs_that_were_all_alike_are_foretold_exactly(order: Order, other: Order, pace: float, n: int) -> None:
    past = [PastJob(other, pace * other.load, 0, 0)] * n
    found = estimate(order, past)
    assert found.seconds.likely == pytest.approx(pace * order.load)
    assert found.tokens.likely == 0
    if n >= MIN_JUDGED:
        assert found.seconds.error == pytest.approx(0, abs=1e-9)


@given(orders, st.lists(pasts, min_size=4, max_size=20), st.floats(0, 1e9))
def test_one_job_that_went_wrong_does_not_move_it_past_the_others(
    order: Order, past: list[PastJob], wrong: float
) -> None:
    odd = replace(past[0], seconds=wrong)
    rates = sorted(job.seconds / job.order.load for job in past)
    likely = estimate(order, [*past, odd]).seconds.likely / order.load
    assert rates[0] * (1 - 1e-9) <= likely <= rates[-1] * (1 + 1e-9)


@given(orders, st.lists(pasts, max_size=10), st.integers(1, 10_000))
def test_more_work_is_not_estimated_as_less(order: Order, past: list[PastJob], more: int) -> None:
    larger = replace(order, words=order.words + more, source_chars=order.source_chars + more)
    for small, large in zip(spans(estimate(order, past)), spans(estimate(larger, past)), strict=True):
        assert large.likely >= small.likely
        assert large.error == small.error


@given(orders, st.lists(pasts, min_size=1, max_size=10), st.floats(0.01, 100))
def test_a_machine_that_is_slower_is_estimated_as_slower(order: Order, past: list[PastJob], factor: float) -> None:
    slower = [replace(job, seconds=job.seconds * factor) for job in past]
    assert estimate(order, slower).seconds.likely == pytest.approx(estimate(order, past).seconds.likely * factor)


def test_the_error_is_that_of_each_from_the_others() -> None:
    order = Order("extractive", 880, 0, 0, 1, 0)
    assert order.load == 1000
    past = [PastJob(order, seconds, 0, 0) for seconds in (10.0, 20.0, 40.0)]
    # From the others: 10 → 30 (2.0 off), 20 → 25 (0.25), 40 → 15 (0.625).
    assert estimate(order, past).seconds.error == pytest.approx(0.625)
    assert estimate(order, past).seconds.likely == pytest.approx(20.0)


def test_without_a_past_it_is_a_guess_and_claims_no_error() -> None:
    found = estimate(Order("extractive", 800, 0, 3, 2, 3), [])
    assert found.basis == 0
    assert all(span.error is None for span in spans(found))
    assert found.seconds.low < found.seconds.likely < found.seconds.high
    assert found.tokens.high == 0, "no model writes"
    assert estimate(Order("xc25", 800, 0, 3, 2, 3), []).tokens.likely > 800


def test_a_brief_is_measured() -> None:
    brief = Brief.model_validate(
        {
            "instruction": "x",
            "sources": [{"text": "a" * 100}, "upload:a"],
            "pictures": ["upload:b", "upload:c"],
            "formats": ["html", "md", "json"],
            "pictures_wanted": 2,
        }
    )
    files = [GivenFile("text/plain", 50), GivenFile("image/png", 10), GivenFile("application/zip", 2_000_000)]
    order = Order.of(brief, files, 1_000, 7)
    assert order == Order("extractive", 800, 1_150, 12, 2, 12, 2)
    assert estimate(order, []).pictures.likely == 2
    open_ended = Order.of(brief.model_copy(update={"libraries": ("all",), "length_words": 100}), files)
    assert (open_ended.most_pictures, open_ended.words) == (None, 100)
    outlined = {"instruction": "x", "outline": {"sections": [{"heading": "a", "length_words": n} for n in (60, 80)]}}
    assert Order.of(Brief.model_validate(outlined), ()).words == 140


REPORT = {"writer": "w", "words": 90, "words_wanted": 100, "source_chars": 5, "pictures_considered": 3}
RESULT = {"report": {**REPORT, "pictures_placed": 2}, "artifacts": [{}, {}, {}]}


def test_a_result_tells_what_its_job_took() -> None:
    job = PastJob.of(RESULT, 2.5, 7)
    assert job == PastJob(Order("w", 100, 5, 3, 2, 3), 2.5, 7, 2)
    unasked = PastJob.of({**RESULT, "report": {**RESULT["report"], "words_wanted": None}}, 2.5, 7)  # type: ignore[dict-item]
    assert unasked is not None
    assert unasked.order.words == 90


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"report": None},
        {"report": {}},
        {**RESULT, "artifacts": None},
        {**RESULT, "report": {**REPORT, "pictures_placed": -1}},
        {**RESULT, "report": {**REPORT, "pictures_placed": "2"}},
        {**RESULT, "report": {**REPORT, "pictures_placed": True}},
        {**RESULT, "report": {**REPORT, "pictures_placed": 2, "writer": None}},
    ],
)
def test_a_result_that_says_too_little_is_passed_over(result: Any) -> None:
    assert PastJob.of(result, 1.0, 0) is None


def test_times_that_are_none_are_passed_over() -> None:
    for seconds in (-1.0, float("nan"), float("inf")):
        assert PastJob.of(RESULT, seconds, 0) is None


@pytest.mark.parametrize("count", [3, 5, 8, 9, 19, 40])
def test_low_to_high_holds_four_of_five(count: int) -> None:
    chance, inside, rounds = random.Random(count), 0, 300
    for _ in range(rounds):
        jobs = []
        for _ in range(count + 1):
            order = Order("xc25", chance.randint(100, 1_500), chance.randint(0, 100_000), chance.randint(0, 20), 2, 20)
            words, notes = 0.01 * order.words, 0.001 * order.source_chars
            jobs.append(PastJob(order, (1.0 + words + notes) * chance.lognormvariate(0, 0.4), 0, 0))
        found = estimate(jobs[0].order, jobs[1:]).seconds
        inside += found.low <= jobs[0].seconds <= found.high
    # Of 300 draws a share of 0.8 comes out between 0.73 and 0.87 all but once in three hundred times.
    assert inside / rounds >= 0.73
    assert count < MIN_SPREAD or inside / rounds <= 0.92, "so wide that it says nothing"
