"""A conversation asks in the form of the published chats, and remembers only what was answered."""

from __future__ import annotations

import pytest
from PIL import Image

from interleaf.errors import PromptInvalid
from model.inference.conversation import Conversation
from model.inference.engine import Sampling
from model.prompts.prompt import PICTURE, PicturePlace
from model.prompts.video import VideoComposite


def words_of(conversation: Conversation, words: str, *pictures: str) -> list[tuple[str, str]]:
    """Each turn's role and words, pictures as ▢."""
    request = conversation.ask(words, pictures)
    return [
        (turn.role, "".join("▢" if isinstance(part, PicturePlace) else part for part in turn.parts))
        for turn in request.turns
    ]


def test_a_single_picture_of_the_first_question_stands_before_everything() -> None:
    talk = Conversation(system="Be kind.", sampling=Sampling(seed=4))
    request = talk.ask("What is it?", ["a.png"])
    assert (request.turns[0].parts, request.pictures, request.system) == (("What is it?",), ("a.png",), "Be kind.")
    assert request.sampling.seed == 4
    talk.answered("What is it?", ["a.png"], "A harbour.")
    assert words_of(talk, "Where?") == [("user", "What is it?"), ("assistant", "A harbour."), ("user", "Where?")]
    assert (talk.pictures, talk.questions) == (1, 1)


def test_several_pictures_are_numbered_through_all_questions() -> None:
    talk = Conversation()
    assert words_of(talk, "Same?", "a", "b") == [("user", "Image1 ▢; Image2 ▢; Same?")]
    talk.answered("Same?", ["a", "b"], "No.")
    assert words_of(talk, "And this?", "c")[2] == ("user", "Image3 ▢; And this?")
    assert talk.ask("And this?", ["c"]).pictures == ("a", "b", "c")
    later = Conversation()
    later.answered("What?", ["a"], "A boat.")
    assert words_of(later, "And?", "b")[0::2] == [("user", "Image1 ▢; What?"), ("user", "Image2 ▢; And?")]


def test_a_picture_of_a_later_question_has_its_place_there() -> None:
    talk = Conversation()
    talk.answered("Hello", [], "Hi.")
    request = talk.ask("What?", ["a"])
    assert PICTURE in request.turns[2].parts and PICTURE not in request.turns[0].parts


def test_a_question_about_one_video_says_that_it_is_about_its_frames() -> None:
    video = VideoComposite(Image.new("RGB", (56, 112)), 2)
    talk = Conversation()
    said = "Here are some frames of a video. What happens?"
    assert talk.ask("What happens?", [video]).turns[0].parts == (said,)
    talk.answered("What happens?", [video], "The tide comes in.")
    later = talk.ask("And this?", ["a.png"]).turns
    assert later[0].parts == ("Image1 ", PICTURE, "; ", said)
    assert later[2].parts == ("Image2 ", PICTURE, "; ", "And this?"), "a picture is no video"
    assert talk.ask("Which?", [video, "a.png"]).turns[2].parts[-1] == "Which?", "of several it says what they are"


def test_asking_alone_leaves_no_trace_and_clear_forgets() -> None:
    talk = Conversation(system="Be kind.")
    talk.ask("One", ["a"])
    assert words_of(talk, "Two") == [("user", "Two")]
    talk.answered("Two", [], "2")
    talk.clear()
    assert words_of(talk, "Three") == [("user", "Three")] and talk.system == "Be kind."


def test_words_are_words() -> None:
    request = Conversation().ask("<ImageHere> [UNUSED_TOKEN_146]")
    assert request.turns[0].parts == ("<ImageHere> [UNUSED_TOKEN_146]",)
    with pytest.raises(PromptInvalid):
        Conversation(sampling=Sampling(temperature=0.0))
