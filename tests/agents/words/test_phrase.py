"""Headings taken from the text: real phrases, whole, in the text's own words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.words.function_words import function_words
from agents.words.phrase import PhraseFinder, find_phrase
from interleaf.text import fold_space

BRIDGE = "The first bridge was a bridge of boats. It lay across the river each summer."
DAM = (
    "The clay dam is 140 metres long. Behind the clay dam lies a pond, and the clay dam leaks a little. "
    "See [the plan of works](https://example.org/secret-path) for more, or `run_pump` at https://example.org."
)
TEXTS = {
    "en": ([DAM], "clay dam"),
    "de": (
        ["Der alte Leuchtturm steht am Kap. Vom Leuchtturm sieht man weit. Der Leuchtturm wurde 1880 gebaut."],
        "leuchtturm",
    ),
    "fr": (
        ["Le moulin à marée moud le blé. Dans le moulin à marée, la roue tourne. Un moulin à marée dure."],
        "moulin",
    ),
    "es": (["El puente de piedra es viejo. Sobre el puente de piedra pasa la gente de este pueblo."], "puente"),
    "ja": (["潮汐発電所は海の力を使う。潮汐発電所の歴史は長い。"], "潮汐発電所"),
    "zh": (["潮汐发电站利用海水。潮汐发电站的历史很长。"], "潮汐"),
    "ko": (["조력 발전소는 바다를 이용한다. 조력 발전소의 역사는 길다."], "발전소"),
}
SAMPLES = [DAM, BRIDGE, *(texts[0] for texts, _ in TEXTS.values())]


@pytest.mark.parametrize("language", sorted(TEXTS))
def test_the_phrase_names_the_subject_in_each_language(language: str) -> None:
    texts, subject = TEXTS[language]
    phrase = find_phrase(texts, [*texts, BRIDGE], language)
    assert subject in phrase.text.casefold()
    assert texts[phrase.index][phrase.start : phrase.end].casefold() == phrase.text.casefold()


def test_links_code_and_addresses_are_never_headings() -> None:
    for _ in range(5):
        phrase = find_phrase([DAM], [DAM, BRIDGE], "en", avoid=["clay dam"])
        assert not any(part in phrase.text.casefold() for part in ("secret", "run_pump", "https", "example"))


def test_what_is_said_above_is_avoided() -> None:
    finder = PhraseFinder([DAM, BRIDGE], "en")
    first = finder.find([DAM])
    second = finder.find([DAM], avoid=[first.text])
    assert second.text and second.text.casefold() != first.text.casefold()


def test_a_longer_repeated_phrase_is_not_cut() -> None:
    text = "The white blood cells hunt. Among white blood cells some eat. Many white blood cells die."
    assert find_phrase([text], [text, BRIDGE], "en").text.casefold() == "white blood cells"


def test_a_common_phrase_is_shared_by_most_texts() -> None:
    texts = ["The tide mill ground wheat.", "In the tide mill the miller slept.", "The tide mill and the storm."]
    assert PhraseFinder(texts, "en").find_common(texts).text == "Tide mill"


def test_texts_without_a_phrase_give_their_first_words() -> None:
    assert find_phrase(["It was so."], ["It was so."], "en").text == "It was so"
    assert find_phrase(["", "  "], [""], "en").text == ""


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(st.text(max_size=80), st.sampled_from([DAM, BRIDGE, *(t[0][0] for t in TEXTS.values())])), max_size=5
    ),
    st.sampled_from(["en", "de", "fr", "es", "zh", "ja", "ko", "pl"]),
)
def test_any_text_gives_a_phrase_of_its_own_without_function_words_at_its_ends(texts: list[str], language: str) -> None:
    phrase = find_phrase(texts, texts, language)
    assert len(phrase.text) <= 120 and "\n" not in phrase.text
    if phrase.index >= 0:
        written = fold_space(texts[phrase.index][phrase.start : phrase.end])
        assert written[1:] == phrase.text[-len(written) + 1 :] if len(written) > 1 else True
        words = phrase.text.casefold().split()
        stops = function_words(language)
        assert words[0] not in stops and words[-1] not in stops
        assert phrase.text[0].isalnum()
