"""State: what one run of the article graph knows so far; every field is checkpointed after each node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, TypedDict

from agents.context import Choice, Place
from interleaf.schema import Article, Brief, Notice, Outline, PictureQuery, TextBlock

__all__ = ["DraftOrder", "State", "add_notices", "merge_drafts"]


def merge_drafts(
    old: Mapping[int, tuple[TextBlock, ...]], new: Mapping[int, tuple[TextBlock, ...]]
) -> dict[int, tuple[TextBlock, ...]]:
    """Sections arrive in any order and may be drafted again: the newest draft of a section counts."""
    return {**old, **new}


def add_notices(old: Sequence[Notice], new: Sequence[Notice]) -> tuple[Notice, ...]:
    """What was told so far and what is told now."""
    return (*old, *new)


class State(TypedDict, total=False):
    """The article graph's state. Values are schema words and frozen dataclasses, never open handles.

    A sequence read back from a checkpoint is a list: nodes hand tuples on.
    """

    brief: Brief
    # Resolved once from the brief or the sources, so that every section splits sentences alike.
    language: str
    outline: Outline
    # Section index → its blocks. The reducer merges because sections are drafted side by side.
    drafts: Annotated[dict[int, tuple[TextBlock, ...]], merge_drafts]
    # How often the review has sent sections back; bounded by MAX_REVIEW_ROUNDS.
    review_round: int
    # Section indices to be drafted (again).
    to_draft: tuple[int, ...]
    # The reviewed text in reading order.
    blocks: tuple[TextBlock, ...]
    places: tuple[Place, ...]
    queries: tuple[PictureQuery, ...]
    # Slot → (picture id, library score), best first.
    found: dict[int, tuple[tuple[str, float], ...]]
    # What was searched: collection → hash of its contents at that time.
    libraries: dict[str, str]
    choices: tuple[Choice, ...]
    # Told in the report. Added to by several nodes.
    notices: Annotated[tuple[Notice, ...], add_notices]
    article: Article


class DraftOrder(TypedDict):
    """What one drafting task is sent: the section, and all that the draft may look at."""

    brief: Brief
    language: str
    outline: Outline
    section_index: int
