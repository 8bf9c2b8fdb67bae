"""Conversation: what a person and a model have said to each other so far, and the pictures in it.

Pictures stand as the published chats had them: a single one of the first question before everything, several numbered
through all questions (`Image1 …; Image2 …; question`). A question about one video says that it is about its frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.inference.engine import Request, Sampling, Seen
from model.network.config import Task
from model.prompts.prompt import Turn, numbered_pictures, video_question
from model.prompts.video import VideoComposite

__all__ = ["Conversation"]


@dataclass(frozen=True)
class _Exchange:
    words: str
    pictures: tuple[Seen, ...]
    answer: str

    @property
    def question(self) -> str:
        """The words as the model is asked them."""
        of_video = len(self.pictures) == 1 and isinstance(self.pictures[0], VideoComposite)
        return video_question(self.words) if of_video else self.words


class Conversation:
    """Grows by `ask`, then `answered`; a question that got no answer leaves no trace."""

    def __init__(self, *, system: str = "", sampling: Sampling | None = None, task: Task = "base") -> None:
        self.system, self.sampling, self.task = system, sampling or Sampling(), task
        self._past: list[_Exchange] = []

    @property
    def pictures(self) -> int:
        """How many pictures have been shown."""
        return sum(len(exchange.pictures) for exchange in self._past)

    @property
    def questions(self) -> int:
        """How many questions have been answered."""
        return len(self._past)

    def ask(self, words: str, pictures: Sequence[Seen] = ()) -> Request:
        """The request that asks `words`, about pictures new in this question and all earlier ones. PromptInvalid."""
        exchanges = [*self._past, _Exchange(words, tuple(pictures), "")]
        seen = tuple(picture for exchange in exchanges for picture in exchange.pictures)
        alone = len(seen) == 1 and bool(exchanges[0].pictures)
        turns: list[Turn] = []
        number = 1
        for exchange in exchanges:
            count = len(exchange.pictures)
            asked = exchange.question
            turns.append(Turn("user", numbered_pictures(count, asked, number) if count and not alone else (asked,)))
            turns.append(Turn("assistant", (exchange.answer,)))
            number += count
        return Request(
            turns=tuple(turns[:-1]), pictures=seen, system=self.system, sampling=self.sampling, task=self.task
        )

    def answered(self, words: str, pictures: Sequence[Seen], answer: str) -> None:
        """Keep a question with its answer, which may have been cut short."""
        self._past.append(_Exchange(words, tuple(pictures), answer))

    def clear(self) -> None:
        """Forget everything but the system's words."""
        self._past.clear()
