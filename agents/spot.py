"""Spot: image spotting, the places where a picture may stand."""

from __future__ import annotations

from langgraph.runtime import Runtime

from agents.context import Context, SpotTask
from agents.progress import tell
from agents.state import State
from interleaf.errors import WriterMisspoke

__all__ = ["spot", "spot_task"]


def spot_task(state: State) -> SpotTask:
    wanted = state["brief"].pictures_wanted
    return SpotTask(
        title=state["outline"].title,
        language=state["language"],
        blocks=tuple(state["blocks"]),
        pictures_wanted=None if wanted == "auto" else wanted,
    )


def spot(state: State, runtime: Runtime[Context]) -> State:
    """Places, in reading order, none twice. No places when no picture is wanted or at hand."""
    context = runtime.context
    if state["brief"].pictures_wanted == 0 or not (context.candidates or context.searches):
        return {"places": ()}
    tell(runtime, "spot", 0.0)
    places = tuple(sorted(context.writer.spot(spot_task(state)), key=lambda place: place.slot))
    slots = [place.slot for place in places]
    if len(set(slots)) < len(slots) or any(not 0 <= slot <= len(state["blocks"]) for slot in slots):
        raise WriterMisspoke("spotting", f"places outside the text or twice: {slots}", "Run it again.")
    tell(runtime, "spot", 1.0, f"{len(places)} places")
    return {"places": places}
