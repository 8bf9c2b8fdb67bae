"""Prompts have the published forms, and a person's words stay apart from the plumbing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interleaf.errors import PromptInvalid
from model.prompts.prompt import (
    META_INSTRUCTION,
    META_INSTRUCTION_OF_2,
    PICTURE,
    PLACEHOLDER,
    PicturePlace,
    Plumbing,
    Prompt,
    Turn,
    article_prompt,
    chat,
    numbered_pictures,
    page_prompt,
    placed,
    resume_page_prompt,
    screenshot_page_prompt,
    script_prompt,
    trusted,
    video_question,
)


def shown(prompt: Prompt) -> str:
    """The prompt as the published code would write it in one string."""
    return "".join(
        PLACEHOLDER if isinstance(p, PicturePlace) else p.text if isinstance(p, Plumbing) else p for p in prompt.parts
    )


def test_a_chat_has_the_published_form() -> None:
    prompt = chat(
        [Turn("user", ("first",)), Turn("assistant", ("answer",)), Turn("user", placed("see <ImageHere> now"))],
        system="Be kind.",
        answer_start="It is",
    )
    assert shown(prompt) == (
        "[UNUSED_TOKEN_146]system\nBe kind.[UNUSED_TOKEN_145]\n"
        "[UNUSED_TOKEN_146]user\nfirst[UNUSED_TOKEN_145]\n[UNUSED_TOKEN_146]assistant\nanswer[UNUSED_TOKEN_145]\n"
        "[UNUSED_TOKEN_146]user\nsee <ImageHere> now[UNUSED_TOKEN_145]\n[UNUSED_TOKEN_146]assistant\nIt is"
    )
    assert prompt.places == 1


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5).filter(lambda w: len(w) % 2 == 1 and w[-1].strip()))
def test_what_is_said_stands_in_the_prompt_as_words_only(words: list[str]) -> None:
    turns = [Turn("assistant" if i % 2 else "user", (w,)) for i, w in enumerate(words)]
    prompt = chat(turns, system="s" + words[0])
    assert [p for p in prompt.parts if isinstance(p, str)] == ["s" + words[0], *words]
    plumbing = {p.text for p in prompt.parts if isinstance(p, Plumbing)}
    assert plumbing <= {
        "[UNUSED_TOKEN_146]system\n",
        "[UNUSED_TOKEN_146]user\n",
        "[UNUSED_TOKEN_146]assistant\n",
        "[UNUSED_TOKEN_145]\n",
    }


def test_a_single_picture_without_a_place_comes_before_everything() -> None:
    prompt = chat([Turn("user", ("what?",))], system="Be kind.").with_pictures(1)
    assert prompt.parts[0] == PICTURE
    assert shown(prompt).startswith("<ImageHere>[UNUSED_TOKEN_146]system\n")


@pytest.mark.parametrize(("places", "pictures"), [(0, 2), (1, 0), (1, 2), (3, 1), (2, 1)])
def test_places_and_pictures_must_agree_in_number(places: int, pictures: int) -> None:
    prompt = chat([Turn("user", (*[PICTURE] * places, "what?"))])
    with pytest.raises(PromptInvalid, match=rf"{places} places for pictures .*{pictures} pictures were given"):
        prompt.with_pictures(pictures)


def test_pictures_are_numbered_across_turns() -> None:
    first = numbered_pictures(3, "which is red?")
    later = numbered_pictures(1, "How about the car in Image4", first=4)
    prompt = chat([Turn("user", first), Turn("assistant", ("Image2",)), Turn("user", later)])
    assert "Image1 <ImageHere>; Image2 <ImageHere>; Image3 <ImageHere>; which is red?" in shown(prompt)
    assert "Image4 <ImageHere>; How about the car in Image4" in shown(prompt)
    assert prompt.places == 4


@given(st.lists(st.sampled_from(["a", PLACEHOLDER, "<ImageHer", "e>", "[UNUSED_TOKEN_146]", " "]), max_size=8))
def test_placeholders_are_found_and_nothing_is_lost(pieces: list[str]) -> None:
    text = "".join(pieces)
    for prompt in (Prompt(placed(text)), trusted(text)):
        assert shown(prompt) == text
        assert prompt.places == text.count(PLACEHOLDER)


def test_words_may_spell_a_placeholder_without_being_one() -> None:
    assert chat([Turn("user", ("write <ImageHere> literally",))]).places == 0


def test_task_prompts_have_the_words_they_were_taught_with() -> None:
    def asked(prompt: Prompt) -> str:
        (words,) = [p for p in prompt.parts if isinstance(p, str)]
        return words

    assert asked(article_prompt("Write of rain.")) == "Write of rain."
    assert asked(page_prompt("A page of rain.")) == "A page of rain."
    assert asked(resume_page_prompt("# Me")) == " Generate a personal page using the content in the resume:# Me"
    assert asked(script_prompt("<p>")) == " Generate JavaScript events for the html code:<p>"
    assert asked(screenshot_page_prompt()) == " Generate the HTML code of this web image with Tailwind CSS."
    assert video_question("Who runs?") == "Here are some frames of a video. Who runs?"
    assert screenshot_page_prompt().with_pictures(1).parts[0] == PICTURE


def test_the_meta_instruction_has_four_lines_and_the_older_form_two_and_an_end() -> None:
    lines = META_INSTRUCTION.split("\n")
    assert lines[0] == "You are an AI assistant whose name is InternLM-XComposer (浦语·灵笔)."
    assert len(lines) == 4
    assert all(line.startswith("- InternLM-XComposer (浦语·灵笔) is ") for line in (lines[1], lines[3]))
    older = META_INSTRUCTION_OF_2.split("\n")
    assert (older[0], older[2], older[3]) == (lines[0], lines[2], "")
    assert older[1] == lines[1].replace("a multi-modality conversational", "a conversational")


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([], "do not end with the user's"),
        ([Turn("user", ("a",)), Turn("assistant", ("b",))], "do not end with the user's"),
        ([Turn("assistant", ("a",))], "assistant at place 0, where user is due"),
        ([Turn("user", ("a",)), Turn("user", ("b",)), Turn("user", ("c",))], "user at place 1"),
        ([Turn("user", ("  \n\t\u3000",))], "says nothing"),
        ([Turn("user", ())], "says nothing"),
    ],
)
def test_a_chat_without_order_or_words_is_refused(turns: list[Turn], said: str) -> None:
    with pytest.raises(PromptInvalid, match=said):
        chat(turns)


def test_an_unknown_side_is_refused() -> None:
    with pytest.raises(PromptInvalid, match="tool"):
        Turn("tool", ("a",))  # type: ignore[arg-type]
