"""Words come as soon as they are certain, never change afterwards, and end where a stop begins."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.inference.streaming import Words
from model.prompts.tokenizer import XComposerTokenizer
from tests.model.small_vocabulary import folder_with

TEXT = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("ab \né漢🌊STOP")), max_size=60)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> XComposerTokenizer:
    return XComposerTokenizer.from_folder(folder_with(tmp_path_factory.mktemp("vocabulary")))


def decoded(tokenizer: XComposerTokenizer, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def cut(text: str, stops: list[str]) -> str:
    return text[: min([at for at in (text.find(stop) for stop in stops) if at >= 0], default=len(text))]


@settings(max_examples=150)
@given(TEXT, st.lists(st.sampled_from(["STOP", "a", "\n\n", "漢b", "OP"]), max_size=3))
def test_pieces_add_up_to_the_text_before_the_first_stop(
    tokenizer: XComposerTokenizer, text: str, stops: list[str]
) -> None:
    ids = tokenizer.encode_untrusted(text)
    words = Words(lambda some: decoded(tokenizer, some), stops)
    pieces = [words.add(token) for token in ids]
    said = "".join([*pieces, words.rest()])
    assert said == cut(decoded(tokenizer, ids), stops)
    assert words.stopped == any(stop in text for stop in stops)
    assert words.rest() == "", "nothing is said twice"


@settings(max_examples=100)
@given(st.lists(st.integers(3, 1_100), max_size=60))
def test_any_tokens_give_what_decoding_them_at_once_gives(tokenizer: XComposerTokenizer, ids: list[int]) -> None:
    """Also bytes that never become a character."""
    words = Words(lambda some: decoded(tokenizer, some))
    said = "".join([*(words.add(token) for token in ids), words.rest()])
    assert said.replace("\ufffd", "") == decoded(tokenizer, ids).replace("\ufffd", "")


def test_half_a_character_and_the_beginning_of_a_stop_are_held_back() -> None:
    words = Words(lambda ids: bytes(ids).decode("utf-8", "replace"), ["END"])
    pieces = [words.add(byte) for byte in "é EN".encode()]
    assert pieces == ["", "é", " ", "", ""]
    assert words.add(ord("x")) == "ENx" and not words.stopped
    assert [words.add(byte) for byte in b"yEND!"] == ["y", "", "", "", ""] and words.stopped
    assert words.rest() == ""


def test_a_long_answer_decodes_each_token_a_few_times_only() -> None:
    asked = 0

    def decode(ids: list[int]) -> str:
        nonlocal asked
        asked += len(ids)
        return "".join(chr(i) for i in ids)

    words = Words(decode)
    for _ in range(2_000):
        words.add(97)
    assert asked < 2_000 * 6
