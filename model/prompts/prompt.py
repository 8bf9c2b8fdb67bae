"""Prompt: what a model is told, with a person's words, the plumbing around them and the pictures kept apart.

Only plumbing may hold control pieces (the tokens around a turn). A person's words stay words, whatever they spell:
`<ImageHere>` or `[UNUSED_TOKEN_146]` in them is text. The forms are those that the published weights were taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from interleaf.errors import PromptInvalid

__all__ = [
    "META_INSTRUCTION",
    "META_INSTRUCTION_OF_2",
    "PICTURE",
    "PLACEHOLDER",
    "Part",
    "PicturePlace",
    "Plumbing",
    "Prompt",
    "Turn",
    "article_prompt",
    "chat",
    "numbered_pictures",
    "page_prompt",
    "placed",
    "resume_page_prompt",
    "screenshot_page_prompt",
    "script_prompt",
    "trusted",
    "video_question",
]

PLACEHOLDER: Final = "<ImageHere>"
TURN_START: Final = "[UNUSED_TOKEN_146]"
TURN_END: Final = "[UNUSED_TOKEN_145]"
# What the published chat tells the model about itself; the second form belongs to the 2 family and to articles.
META_INSTRUCTION: Final = """You are an AI assistant whose name is InternLM-XComposer (浦语·灵笔).
- InternLM-XComposer (浦语·灵笔) is a multi-modality conversational language model that is developed by Shanghai AI \
Laboratory (上海人工智能实验室). It is designed to be helpful, honest, and harmless.
- InternLM-XComposer (浦语·灵笔) can understand and communicate fluently in the language chosen by the user such as \
English and 中文.
- InternLM-XComposer (浦语·灵笔) is capable of comprehending and articulating responses effectively based on the \
provided image."""
META_INSTRUCTION_OF_2: Final = (
    META_INSTRUCTION.replace("is a multi-modality conversational", "is a conversational").rpartition("\n")[0] + "\n"
)


@dataclass(frozen=True)
class Plumbing:
    """Text of ours, in which control pieces become their ids."""

    text: str


@dataclass(frozen=True)
class PicturePlace:
    """Where the next picture of the prompt stands."""


PICTURE: Final = PicturePlace()
# A str is a person's words.
Part = str | Plumbing | PicturePlace


@dataclass(frozen=True)
class Prompt:
    """Words, plumbing and places of pictures, in their order."""

    parts: tuple[Part, ...]

    @property
    def places(self) -> int:
        """How many pictures it has room for."""
        return sum(isinstance(part, PicturePlace) for part in self.parts)

    def with_pictures(self, pictures: int) -> Prompt:
        """The prompt for so many pictures. A single one that has no place comes before everything, as in training;
        otherwise there must be as many places as pictures, or PromptInvalid says how many there are."""
        if pictures == 1 and not self.places:
            return Prompt((PICTURE, *self.parts))
        if pictures != self.places:
            raise PromptInvalid(
                "prompt",
                f"has {self.places} places for pictures ({PLACEHOLDER}), {pictures} pictures were given.",
                "Give one picture for each place.",
            )
        return self


@dataclass(frozen=True)
class Turn:
    """What one side said: words and places of pictures."""

    role: Literal["user", "assistant"]
    parts: tuple[str | PicturePlace, ...]

    def __post_init__(self) -> None:
        if self.role not in ("user", "assistant"):
            raise PromptInvalid("role", f"is {self.role!r}.", "Use user or assistant; system is given apart.")


def trusted(text: str) -> Prompt:
    """A prompt that was put together elsewhere: control pieces and `<ImageHere>` in it are meant. Never for words
    of a person or a document."""
    parts: list[Part] = []
    for number, piece in enumerate(text.split(PLACEHOLDER)):
        if number:
            parts.append(PICTURE)
        if piece:
            parts.append(Plumbing(piece))
    return Prompt(tuple(parts))


def placed(text: str) -> tuple[str | PicturePlace, ...]:
    """Words in which `<ImageHere>` stands for a picture, as the published chat takes them."""
    parts: list[str | PicturePlace] = []
    for number, piece in enumerate(text.split(PLACEHOLDER)):
        if number:
            parts.append(PICTURE)
        if piece:
            parts.append(piece)
    return tuple(parts)


def numbered_pictures(pictures: int, question: str, first: int = 1) -> tuple[str | PicturePlace, ...]:
    """`Image1 <ImageHere>; Image2 <ImageHere>; question`; a later turn counts on from `first`."""
    parts: list[str | PicturePlace] = []
    for number in range(first, first + pictures):
        parts += [f"Image{number} ", PICTURE, "; "]
    return (*parts, question)


def video_question(question: str) -> str:
    """A question about a video's frames; the composite is the prompt's picture."""
    return f"Here are some frames of a video. {question}"


def chat(turns: Sequence[Turn], *, system: str = "", answer_start: str = "") -> Prompt:
    """The turns so far, of which the last is the user's, ready for the answer.

    `system`: what the model is told about itself; `answer_start`: the first words of the answer, which the model
    goes on from. PromptInvalid when the sides do not take turns or the last question holds nothing."""
    for number, turn in enumerate(turns):
        due = "assistant" if number % 2 else "user"
        if turn.role != due:
            raise PromptInvalid(
                "turns", f"have {turn.role} at place {number}, where {due} is due.", "Let them alternate."
            )
    if len(turns) % 2 == 0:
        raise PromptInvalid("turns", "do not end with the user's.", "Give the question last.")
    if not any(isinstance(part, PicturePlace) or part.strip() for part in turns[-1].parts):
        raise PromptInvalid("prompt", "says nothing: the last turn is empty or only blanks.", "Ask something.")
    parts: list[Part] = []
    if system:
        parts += [Plumbing(f"{TURN_START}system\n"), system, Plumbing(f"{TURN_END}\n")]
    for turn in turns:
        parts += [Plumbing(f"{TURN_START}{turn.role}\n"), *turn.parts, Plumbing(f"{TURN_END}\n")]
    parts.append(Plumbing(f"{TURN_START}assistant\n"))
    if answer_start:
        parts.append(answer_start)
    return Prompt(tuple(parts))


# What the article and web adapters were taught. For the tasks `write` and `web`.


def article_prompt(instruction: str, *, system: str = "") -> Prompt:
    """Write an article."""
    return _ask(instruction, system)


def page_prompt(instruction: str) -> Prompt:
    """Make a web page by an instruction."""
    return _ask(instruction)


def resume_page_prompt(resume: str) -> Prompt:
    """Make a personal page out of a resume in Markdown; then script_prompt."""
    return _ask(f" Generate a personal page using the content in the resume:{resume}")


def script_prompt(html: str) -> Prompt:
    """Write the scripts of a page."""
    return _ask(f" Generate JavaScript events for the html code:{html}")


def screenshot_page_prompt() -> Prompt:
    """Rebuild the page of a screenshot, the prompt's one picture."""
    return _ask(" Generate the HTML code of this web image with Tailwind CSS.")


def _ask(words: str, system: str = "") -> Prompt:
    return chat([Turn("user", (words,))], system=system)
