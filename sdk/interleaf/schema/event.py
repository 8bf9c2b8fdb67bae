"""Event: what a run tells while it works."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from interleaf.schema.word import Line, Word

__all__ = ["Event", "Stage"]

Stage = Literal["read", "plan", "draft", "spot", "caption", "retrieve", "choose", "review", "assemble", "render"]


class Event(Word):
    """`id` rises by one within a run; `share_done` is 0..1 within the stage, None when unknown."""

    id: int = Field(ge=0)
    run_id: Line
    kind: Literal["run_started", "stage_started", "progress", "stage_finished", "needs_input", "finished", "failed"]
    stage: Stage | None = None
    share_done: float | None = Field(None, ge=0, le=1)
    message: Line = ""
    data: dict[str, Any] = Field(default_factory=dict)
