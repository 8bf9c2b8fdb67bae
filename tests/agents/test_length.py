"""Length: what is missing goes to the sections that can give it, and the sum comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.length import MIN_SECTION_WORDS, fit_lengths
from interleaf.schema import Outline, OutlineSection


def outline(*lengths: int | None) -> Outline:
    return Outline(
        title="T", sections=tuple(OutlineSection(heading=f"H{k}", length_words=n) for k, n in enumerate(lengths))
    )


def lengths(given: Outline) -> list[int | None]:
    return [section.length_words for section in given.sections]


def test_a_section_with_no_more_to_say_is_left_and_the_others_grow() -> None:
    fitted, again = fit_lengths(outline(100, 100, 200), {0: 40, 1: 100, 2: 200}, 400)
    assert again == (1, 2)
    assert lengths(fitted) == [100, 120, 240]


def test_what_cannot_be_cut_is_left_and_the_others_shrink() -> None:
    fitted, again = fit_lengths(outline(100, 100, 200), {0: 160, 1: 100, 2: 200}, 400)
    assert again == (1, 2)
    assert lengths(fitted) == [100, 80, 160]


def test_nothing_is_drafted_again_in_vain() -> None:
    same = outline(100, 100)
    assert fit_lengths(same, {0: 50, 1: 50}, 200) == (same, ())
    assert fit_lengths(same, {0: 100, 1: 100}, 200) == (same, ())
    assert fit_lengths(outline(None, None), {0: 50, 1: 50}, 200)[1] == ()
    assert fit_lengths(Outline(), {}, 200)[1] == ()


def test_a_length_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted is 0"):
        fit_lengths(outline(10), {0: 10}, 0)


@given(
    st.lists(st.tuples(st.integers(20, 500), st.integers(0, 700)), min_size=1, max_size=8),
    st.integers(50, 3_000),
)
def test_new_lengths_add_up_and_lie_in_reason(sections: list[tuple[int, int]], wanted: int) -> None:
    given_outline = outline(*[budget for budget, _ in sections])
    words = {k: said for k, (_, said) in enumerate(sections)}
    fitted, again = fit_lengths(given_outline, words, wanted)
    assert list(again) == sorted(set(again))
    for k, (before, after) in enumerate(zip(lengths(given_outline), lengths(fitted), strict=True)):
        assert k in again or before == after
    new = {k: lengths(fitted)[k] or 0 for k in again}
    assert all(target >= MIN_SECTION_WORDS for target in new.values())
    total = sum(new.get(k, said) for k, said in words.items())
    missing = abs(wanted - sum(words.values()))
    assert not again or abs(wanted - total) <= missing, "it would come further from the length than before"
