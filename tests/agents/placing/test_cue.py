"""Cues: phrases that point at a picture are found in seven languages; prose is left alone; hostile text is fast."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.placing.cue import ends_with_colon, figure_mentions, find_cue, sequence_of, step_number


@pytest.mark.parametrize(
    "text",
    [
        "The map below shows the three harbours.",
        "After an hour it looks like this.",
        "Das Ergebnis sieht dann so aus",
        "Die folgende Abbildung zeigt den Aufbau.",
        "La figure ci-dessous montre le port.",
        "La siguiente figura muestra el puerto.",
        "切好的冬瓜如图所示。",
        "如下图，将面团放入容器。",
        "下の図のとおりに切ります。",
        "アプリの画面はこんな感じ。",
        "아래 그림은 항구를 보여 준다.",
    ],
)
def test_a_phrase_that_points_at_what_follows_is_found(text: str) -> None:
    cue = find_cue(text)
    assert cue is not None
    assert cue.direction == "below"
    assert cue.words in " ".join(text.split())


@pytest.mark.parametrize(
    "text", ["The photo above was taken in May.", "Das Bild oben zeigt den Hafen.", "上の写真は港です。"]
)
def test_a_phrase_that_points_back_is_told_apart(text: str) -> None:
    cue = find_cue(text)
    assert cue is not None
    assert cue.direction == "above"


@pytest.mark.parametrize("text", ["as shown in Figure 3", "siehe Abbildung 2", "voir la figure 4", "véase la figura 1"])
def test_a_mention_without_direction_is_a_cue(text: str) -> None:
    cue = find_cue(text)
    assert cue is not None
    assert cue.direction == "any"


@pytest.mark.parametrize(
    "text",
    [
        "The harbour was built in 1880 and has never been enlarged.",
        "Der Hafen wurde 1880 gebaut.",
        "Le port fut construit en 1880.",
        "港は1880年に造られた。",
        "",
    ],
)
def test_ordinary_prose_has_no_cue(text: str) -> None:
    assert find_cue(text) is None


def test_numbers_of_figures_are_read_in_several_languages() -> None:
    assert figure_mentions("See Figure 3 and Fig. 4a; Abb. 2; 图 5; 図1; figure 3 again.") == ("3", "4a", "2", "5", "1")
    assert figure_mentions("In 1880 there were 3 ships.") == ()


def test_a_colon_at_the_end_is_seen_behind_markup() -> None:
    assert ends_with_colon("It has three parts:")
    assert ends_with_colon("手順は次の通り：")
    assert ends_with_colon("**It has three parts:** ")
    assert not ends_with_colon("At 10:30 it left.")


def test_steps_and_series_are_counted() -> None:
    assert step_number("3. Knead the dough.") == 3
    assert step_number("第2步 揉面") == 2
    assert step_number("Knead the dough for 10 minutes and wait.") is None
    first, second = sequence_of("Figure 2: the port"), sequence_of("Figure 10: the town")
    assert first is not None
    assert second is not None
    assert first.kind == second.kind
    assert first.number < second.number
    assert sequence_of("用具1") is not None
    assert sequence_of("The port in the evening") is None


@given(st.text(max_size=400))
def test_any_text_is_read_without_error(text: str) -> None:
    find_cue(text)
    figure_mentions(text)
    sequence_of(text)
    step_number(text)
    ends_with_colon(text)


@pytest.mark.parametrize("piece", ["figure ", "1.", "shown in the ", " \t", "如", "(", "Fig. 1.1.1.1"])
def test_a_megabyte_of_repetition_is_read_quickly(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    started = time.process_time()
    find_cue(text)
    figure_mentions(text[:100_000])
    sequence_of(text)
    ends_with_colon(text)
    assert time.process_time() - started < 2.0
