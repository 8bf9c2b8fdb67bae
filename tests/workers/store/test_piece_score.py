"""Piece score: better numbers give a better score, and variants are ranked by it, the same each time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interleaf.schema import Report
from interleaf.schema.report import Notice
from workers.store.piece_score import WEIGHTS, ranked, score

BEST: dict[str, Any] = {
    "words": 500,
    "length_score": 100.0,
    "sentences": 20,
    "sentences_with_span": 20,
    "pictures_placed": 2,
    "pictures_considered": 9,
    "repeated_5grams_share": 0.0,
    "warnings": 0,
}

shares = st.floats(0, 1)
reports = st.fixed_dictionaries(
    {
        "words": st.integers(0, 10_000),
        "length_score": st.none() | st.floats(0, 100),
        "sentences": st.integers(0, 500),
        "sentences_with_span": st.integers(0, 500),
        "pictures_placed": st.integers(0, 50),
        "pictures_considered": st.integers(0, 50),
        "repeated_5grams_share": shares,
        "warnings": st.integers(0, 100),
    }
)
anything = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3)


def test_the_weights_make_one() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)
    assert score(BEST).total == 100.0


@pytest.mark.parametrize(
    ("worse", "total"),
    [
        ({"length_score": 0.0}, 70.0),
        ({"sentences_with_span": 0}, 70.0),
        ({"sentences_with_span": 10}, 85.0),
        ({"repeated_5grams_share": 0.5}, 90.0),
        ({"pictures_placed": 1}, 95.0),
        ({"pictures_placed": 0}, 90.0),
        ({"warnings": 1}, 95.0),
        ({"warnings": [{"code": "x", "message": "y"}]}, 95.0),
    ],
)
def test_each_part_weighs_what_the_guide_says(worse: dict[str, Any], total: float) -> None:
    assert score(BEST | worse).total == pytest.approx(total)


def test_what_cannot_be_told_does_not_count() -> None:
    told = score(BEST | {"length_score": None, "pictures_placed": 0, "pictures_considered": 0})
    assert (told.total, told.length, told.pictures) == (100.0, None, None)
    assert score({}).total == 100.0, "nothing speaks against it"
    assert score(BEST | {"length_score": None, "sentences_with_span": 0}).total == pytest.approx(57.14)


def test_a_report_as_pieces_carry_it_is_taken() -> None:
    report = Report(
        words=500, length_score=80, sentences=10, sentences_with_span=5, warnings=(Notice(code="a", message="b"),)
    )
    found = score(report.model_dump(mode="json"))
    assert (found.length, found.grounding, found.warnings) == (0.8, 0.5, 0.5)


@given(reports)
def test_a_score_is_a_share_of_a_hundred(report: dict[str, Any]) -> None:
    found = score(report)
    assert 0 <= found.total <= 100
    for name in WEIGHTS:
        part = getattr(found, name)
        assert part is None or 0 <= part <= 1


@given(reports, st.integers(1, 50))
def test_better_numbers_never_make_it_worse(report: dict[str, Any], step: int) -> None:
    total = score(report).total
    assert score(report | {"warnings": report["warnings"] + step}).total <= total
    assert score(report | {"repeated_5grams_share": 0.0}).total >= total
    assert score(report | {"sentences_with_span": report["sentences_with_span"] + step}).total >= total
    if report["length_score"] is not None:
        assert score(report | {"length_score": 100.0}).total >= total
    if report["pictures_considered"]:
        assert score(report | {"pictures_placed": report["pictures_placed"] + step}).total >= total


@given(st.dictionaries(st.sampled_from(sorted(BEST)), anything))
def test_a_report_of_another_form_is_no_error(report: dict[str, Any]) -> None:
    assert 0 <= score(report).total <= 100


@given(st.dictionaries(st.integers(1, 50), st.none() | reports, max_size=20))
def test_ranking_keeps_everything_and_puts_the_best_first(given: dict[int, dict[str, Any] | None]) -> None:
    found = ranked(given)
    assert sorted(number for number, _ in found) == sorted(given)
    totals = [one.total if one is not None else -1.0 for _, one in found]
    assert totals == sorted(totals, reverse=True)
    for (first, one), (second, other) in pairwise(found):
        assert one != other or first < second, "of equals the first comes first"
    assert ranked(dict(reversed(list(given.items())))) == found, "in whatever order they came"
