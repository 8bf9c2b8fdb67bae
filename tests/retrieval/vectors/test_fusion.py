"""Fusion's parts do what their names say; scores stay in 0..1; splitting is linear and loses no words."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interleaf.schema import PictureQuery
from retrieval.vectors.fusion import fused, kin_weights, latin_share, pixel_evidence, said, sentences, whole

QUERY = PictureQuery(before="First one. Second one!", after="Third? Fourth", heading="Head", title="Title")


def test_sentences_come_nearest_first_and_headings_are_not_among_them() -> None:
    assert sentences(QUERY) == ("Second one!", "Third?", "First one.", "Fourth")
    assert sentences(PictureQuery(text="own words", after="一つ。二つ！三つ")) == (
        "own words",
        "一つ。",
        "二つ！",
        "三つ",
    )


def test_the_whole_goes_from_the_general_to_the_place() -> None:
    assert whole(QUERY) == "Title\nHead\nFirst one. Second one!\nThird? Fourth"
    assert whole(PictureQuery()) == ""


def test_the_block_before_weighs_double() -> None:
    assert said(QUERY).texts == (
        ("First one. Second one!", 2.0),
        ("Third? Fourth", 1.0),
        ("Head", 1.0),
        ("Title", 1.0),
    )


@given(st.text(max_size=300))
def test_splitting_keeps_every_letter(text: str) -> None:
    query = PictureQuery(before=text)
    parts = sentences(query)
    assert all(part.strip() == part and part for part in parts)
    if len(parts) < 24:
        assert {c for c in "".join(parts) if c.isalnum()} == {c for c in query.before if c.isalnum()}


def test_a_huge_hostile_block_is_split_in_linear_time() -> None:
    for text in ("." * 2_000_000, ". " * 1_000_000, "a" * 2_000_000, '."' * 1_000_000, "\n " * 1_000_000):
        start = time.perf_counter()
        query = PictureQuery(before=text)
        assert len(sentences(query)) <= 24 and len(whole(query)) <= 6_000
        assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("text", "share"), [("Grüße", 1), ("天守閣", 0), ("", 0), ("123 …", 0), ("ab 天守", 0.5), ("Привет", 0)]
)
def test_latin_share(text: str, share: float) -> None:
    assert latin_share(text) == share


def test_fused_scores_are_in_range_and_rise_with_each_part() -> None:
    zero, one = np.zeros(3, np.float32), np.ones(3, np.float32)
    assert (fused(zero, -one, 1.0, zero, zero) == 0).all()
    assert np.allclose(fused(one, one, 1.0, one, one), 1)
    assert np.allclose(fused(one, one, 0.0, None, one), 1)
    half = one / 2
    base = fused(half, half, 1.0, half, half)
    for better in (
        fused(one, half, 1.0, half, half),
        fused(half, one, 1.0, half, half),
        fused(half, half, 1.0, one, half),
        fused(half, half, 1.0, half, one),
    ):
        assert (better > base).all()


def test_kin_are_the_three_best_and_the_best_weighs_most() -> None:
    top, share = kin_weights(np.array([0.1, 0.9, 0.2, 0.9, 0.3], np.float32), np.arange(5))
    assert top.tolist() == [1, 3, 4]
    assert share.sum() == pytest.approx(1) and share[0] == share[1] > share[2]
    top, share = kin_weights(np.zeros(2, np.float32), np.arange(2))
    assert (share == 0).all()
    assert len(kin_weights(np.zeros(0, np.float32), np.zeros(0, np.int64))[0]) == 0


def test_pixels_count_by_their_lead_over_the_middle() -> None:
    seen = np.array([True, True, True, True, False])
    found = pixel_evidence(np.array([0.20, 0.22, 0.24, 0.30, 0.9], np.float32), seen)
    assert found[3] == 1 and found[0] == 0 and found[4] == 0 and 0 < found[2] < 1
    assert (pixel_evidence(np.ones(2, np.float32), np.zeros(2, bool)) == 0).all()
