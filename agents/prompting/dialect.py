"""Dialect: how a family of models is asked for each step of the workflow, and how its answers are read.

A dialect puts questions into words and reads answers back into values; it decides nothing else. What cannot be read is
`Unreadable`, whose text is told to the model when it is asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.context import EditTask
from agents.prompting.digest import Excerpt
from agents.prompting.mind import Ask, Shown
from agents.prompting.quoting import Marks
from interleaf.schema import Outline

__all__ = ["LETTERS", "Dialect", "Option", "Order", "Planned", "Segment", "Unreadable", "outline_text"]

# Names of the candidates of one choice.
LETTERS = "ABCDEFGHIJ"
MAX_HEADING_CHARS = 200


class Unreadable(ValueError):
    """An answer that has not the form that was asked for; the message says what is wrong with it."""


@dataclass(frozen=True)
class Order:
    """What was asked for, as every question about the piece tells it."""

    instruction: str
    title: str
    language: str
    style: str
    guidelines: str
    length_words: int | None
    excerpts: tuple[Excerpt, ...]
    marks: Marks


@dataclass(frozen=True)
class Planned:
    """An outline that was read: the title, and headings with their points."""

    title: str
    sections: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Segment:
    """A block of the text as spotting sees it; a picture may follow it, if `is_open`. Numbers count from 1."""

    number: int
    text: str
    is_open: bool


@dataclass(frozen=True)
class Option:
    """A candidate of a choice: its letter, its picture, and what is said of it."""

    letter: str
    picture: Shown
    words: str


class Dialect(Protocol):
    """One family's words. All methods are pure."""

    @property
    def version(self) -> str:
        """Changes when the same task would be put into other words."""

    def outline(self, order: Order) -> Ask:
        """Ask for a title and sections."""

    def read_outline(self, answer: str, order: Order) -> Planned:
        """Unreadable when there is no section."""

    def draft(self, order: Order, outline: Outline, index: int) -> Ask:
        """Ask for the text of one section, without its heading. Sections of one outline begin alike."""

    def spot(self, title: str, segments: Sequence[Segment], wanted: int | None) -> Ask:
        """Ask after which segments pictures should stand."""

    def read_spots(self, answer: str, segments: Sequence[Segment]) -> tuple[int, ...]:
        """Numbers of open segments, each once, in the order of the answer. Unreadable when there is none."""

    def caption(self, title: str, segments: Sequence[Segment], number: int) -> Ask:
        """Ask what a picture after segment `number` would show."""

    def read_caption(self, answer: str) -> str:
        """One line; empty when nothing was said."""

    def choose(
        self, title: str, before: Sequence[str | Shown], after: str, options: Sequence[Option], marks: Marks
    ) -> Ask:
        """Ask which option fits between `before` (text and pictures chosen earlier) and `after`."""

    def answers(self, options: Sequence[Option]) -> tuple[str, ...]:
        """What may be answered to `choose`: a letter for each option in order, then perhaps one for none of them."""

    def edit(self, task: EditTask, marks: Marks) -> Ask:
        """Ask for a paragraph changed, or for a new one."""


def outline_text(outline: Outline) -> str:
    """An outline in Markdown, as a model is shown it."""
    lines: list[str] = []
    for section in outline.sections:
        lines.append(f"## {section.heading}" if section.heading else "## …")
        lines += [f"- {point}" for point in section.points]
    return "\n".join(lines)
