"""Plan: the first node; resolves the language and asks the writer for an outline."""

from __future__ import annotations

from langgraph.runtime import Runtime

from agents.context import Context, OutlineTask
from agents.language import resolve_language
from agents.progress import tell
from agents.state import State
from interleaf.errors import WriterMisspoke

__all__ = ["plan"]


def plan(state: State, runtime: Runtime[Context]) -> State:
    """Outline of the piece. Every section is then to be drafted."""
    brief = state["brief"]
    language = resolve_language(brief, runtime.context.sources)
    tell(runtime, "plan", 0.0, f"language {language}")
    outline = runtime.context.writer.outline(
        OutlineTask(brief=brief, sources=runtime.context.sources, language=language)
    )
    if not outline.sections:
        raise WriterMisspoke("outline", "the writer planned no section.", "Give notes about the subject.")
    tell(runtime, "plan", 1.0, f"{len(outline.sections)} sections")
    return {
        "language": language,
        "outline": outline,
        "to_draft": tuple(range(len(outline.sections))),
        "review_round": 0,
    }
