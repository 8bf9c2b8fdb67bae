"""Retrieve: image retrieval, the library's candidates for each place, all queries in one call."""

from __future__ import annotations

from langgraph.runtime import Runtime

from agents.context import Context
from agents.progress import tell
from agents.state import State

__all__ = ["CANDIDATES_PER_PLACE", "retrieve"]

CANDIDATES_PER_PLACE = 10


def retrieve(state: State, runtime: Runtime[Context]) -> State:
    """Library hits by slot, and what the library held then. Filters (collections, licence, size) hold before ranking,
    in the library."""
    context = runtime.context
    if not context.searches:
        return {"found": {}, "libraries": {}}
    # As it is searched: it may have changed by the time the piece is assembled.
    libraries = context.finder.fingerprints()
    if not state["queries"]:
        return {"found": {}, "libraries": libraries}
    tell(runtime, "retrieve", 0.0)
    hits = context.finder.search(state["queries"], CANDIDATES_PER_PLACE, context.where)
    found = {
        place.slot: tuple((hit.picture.id, hit.score) for hit in row)
        for place, row in zip(state["places"], hits, strict=True)
    }
    pictures = {picture_id for row in found.values() for picture_id, _ in row}
    tell(runtime, "retrieve", 1.0, f"{len(pictures)} candidates from the library")
    return {"found": found, "libraries": libraries}
