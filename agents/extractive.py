"""ExtractiveWriter: the embedded default; composes from the brief's own sources and says nothing that is not in them.

It needs no language model: planning, drafting and placement are files of their own beside this one;
here they meet the Writer contract.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.context import (
    Choice,
    ChooseTask,
    DraftTask,
    Embedder,
    Finding,
    OutlineTask,
    Place,
    SpotTask,
)
from agents.excerpting.drafting import draft_section
from agents.outlining.planning import plan_outline
from agents.placing.placement import caption_queries, choose_pictures, spot_places
from agents.reviewing import review_draft
from interleaf.errors import InvalidBrief, NothingToSay
from interleaf.schema import Brief, Outline, PictureQuery, TextBlock

__all__ = ["ExtractiveWriter"]


class ExtractiveWriter:
    """A Writer whose every sentence is copied from a source, with its span."""

    name = "extractive"
    version = "1"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def outline(self, task: OutlineTask) -> Outline:
        if not task.sources:
            raise InvalidBrief(
                "sources",
                "the extractive writer composes from your own notes and the brief names none.",
                "Give sources (--notes FOLDER), or choose a model as the writer.",
            )
        if not any(source.text.strip() for source in task.sources):
            raise NothingToSay("sources", "the notes hold no text.", "Give notes with text.")
        return plan_outline(task, self._embedder)

    def draft(self, task: DraftTask) -> tuple[TextBlock, ...]:
        return draft_section(task, self._embedder)

    def spot(self, task: SpotTask) -> tuple[Place, ...]:
        return spot_places(task)

    def caption(self, task: SpotTask, places: Sequence[Place]) -> tuple[PictureQuery, ...]:
        return caption_queries(task, places)

    def choose(self, task: ChooseTask) -> tuple[Choice, ...]:
        return choose_pictures(task, self._embedder)

    def review(self, brief: Brief, title: str, blocks: Sequence[TextBlock]) -> tuple[Finding, ...]:
        return (*_unheard(brief), *review_draft(brief, title, blocks))


def _unheard(brief: Brief) -> tuple[Finding, ...]:
    """Wishes that a writer of copied sentences cannot follow, told rather than passed over in silence."""
    return tuple(
        Finding(f"{wish}_not_followed", f"the extractive writer copies sentences and cannot follow the {wish}")
        for wish in ("style", "guidelines")
        if getattr(brief, wish).strip()
    )
