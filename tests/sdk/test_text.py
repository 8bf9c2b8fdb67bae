"""Cleaning keeps offsets; words and terms are counted as the measures define them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interleaf.text import clean, clean_line, count_words, is_cjk, terms

ANY_TEXT = st.text(st.characters(), max_size=300)  # lone surrogates included


@given(ANY_TEXT)
def test_cleaning_keeps_every_offset_and_leaves_nothing_hidden(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) == len(text)
    cleaned.encode("utf-8")  # no lone surrogate is left
    assert not any(c < " " and c not in "\t\n" for c in cleaned)
    assert clean(cleaned) == cleaned
    for before, after in zip(text, cleaned, strict=True):
        assert after == before or after in " \n\ufffd"


@given(ANY_TEXT)
def test_a_clean_line_is_one_line(text: str) -> None:
    line = clean_line(text)
    assert "\n" not in line
    assert line == line.strip()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("one two-three don't 3.14", 4),
        ("我们去了北京。", 6),
        ("東京タワー", 5),
        ("안녕 하세요", 2),
        ("iPhone 是手机", 4),
        ("— … !", 0),
    ],
)
def test_words_are_counted_as_longbench_write_does(text: str, words: int) -> None:
    assert count_words(text) == words


def test_terms_are_folded_words_and_cjk_bigrams() -> None:
    assert terms("Die ＳＴＲＡẞＥ 我们去") == ["我们", "们去", "die", "strasse"]


def test_what_is_mostly_cjk_is_told() -> None:
    assert is_cjk("我们用 Python")
    assert not is_cjk("We say 你好 to everybody here")
