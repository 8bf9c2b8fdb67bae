"""Caption: image captioning, what a fitting picture would show at each place (the search queries)."""

from __future__ import annotations

from langgraph.runtime import Runtime

from agents.context import Context
from agents.progress import tell
from agents.spot import spot_task
from agents.state import State
from interleaf.errors import WriterMisspoke

__all__ = ["caption"]


def caption(state: State, runtime: Runtime[Context]) -> State:
    """One query for each place."""
    places = tuple(state["places"])
    if not places:
        return {"queries": ()}
    queries = tuple(runtime.context.writer.caption(spot_task(state), places))
    if len(queries) != len(places):
        raise WriterMisspoke("captioning", f"{len(queries)} queries for {len(places)} places", "Run it again.")
    tell(runtime, "caption", 1.0, f"{len(queries)} queries")
    return {"queries": queries}
