"""Choose: image selection, one decision for the whole piece over given and found pictures."""

from __future__ import annotations

from langgraph.runtime import Runtime

from agents.context import Candidate, ChooseTask, Context
from agents.progress import tell
from agents.spot import spot_task
from agents.state import State
from interleaf.errors import WriterMisspoke
from interleaf.schema import Notice

__all__ = ["candidates_of", "choose"]


def candidates_of(state: State, context: Context) -> tuple[Candidate, ...]:
    """Pictures handed over with the brief first, then what the library found, none twice."""
    scores: dict[str, dict[int, float]] = {}
    for slot, row in state["found"].items():
        for picture_id, score in row:
            scores.setdefault(picture_id, {})[slot] = score
    given = {candidate.picture.id for candidate in context.candidates}
    found = tuple(
        Candidate(picture=context.finder.picture(picture_id), origin="library", library_scores=by_slot)
        for picture_id, by_slot in sorted(scores.items())
        if picture_id not in given
    )
    return context.candidates + found


def choose(state: State, runtime: Runtime[Context]) -> State:
    """Choices in reading order. What a writer may not do is refused here, whoever the writer is."""
    context, brief = runtime.context, state["brief"]
    candidates = candidates_of(state, context) if state["places"] else ()
    if not candidates:
        return {"choices": (), "notices": _missing(0, brief.pictures_wanted)}
    tell(runtime, "choose", 0.0, f"{len(candidates)} candidates")
    task = spot_task(state)
    choices = tuple(
        sorted(
            context.writer.choose(
                ChooseTask(
                    title=task.title,
                    language=task.language,
                    blocks=task.blocks,
                    places=tuple(state["places"]),
                    candidates=candidates,
                    pictures_wanted=task.pictures_wanted,
                    seed=brief.seed,
                )
            ),
            key=lambda choice: choice.slot,
        )
    )
    ids = [choice.picture_id for choice in choices]
    known = {candidate.picture.id for candidate in candidates}
    slots = {place.slot for place in state["places"]}
    if len(set(ids)) < len(ids) or not known.issuperset(ids) or not slots.issuperset(c.slot for c in choices):
        raise WriterMisspoke("selection", "a picture twice, unknown, or where no place is.", "Run it again.", str(ids))
    tell(runtime, "choose", 1.0, f"{len(choices)} pictures placed")
    return {"choices": choices, "notices": _missing(len(choices), brief.pictures_wanted)}


def _missing(placed: int, wanted: int | str) -> tuple[Notice, ...]:
    if isinstance(wanted, int) and placed < wanted:
        return (Notice(code="pictures_missing", message=f"{placed} of {wanted} wanted pictures fit and were placed"),)
    return ()
