"""Draft: writes one section; the graph runs one of these for each section, side by side."""

from __future__ import annotations

from langgraph.runtime import Runtime

from agents.context import Context, DraftTask
from agents.progress import tell
from agents.state import DraftOrder, State

__all__ = ["draft"]


def draft(state: DraftOrder, runtime: Runtime[Context]) -> State:
    """The blocks of one section. An empty draft means that the sources say nothing for it."""
    index = state["section_index"]
    outline = state["outline"]
    task = DraftTask(
        brief=state["brief"],
        sources=runtime.context.sources,
        language=state["language"],
        outline=outline,
        section_index=index,
    )
    with runtime.context.drafting:
        blocks = runtime.context.writer.draft(task)
    heading = outline.sections[index].heading or "opening"
    tell(runtime, "draft", (index + 1) / len(outline.sections), heading)
    return {"drafts": {index: tuple(blocks)}}
