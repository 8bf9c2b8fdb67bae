"""Approve: the two places where the workflow stops and waits for a person, for days if need be."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import ValidationError

from agents.context import Context
from agents.state import State
from interleaf.errors import InvalidBrief, RunCanceled
from interleaf.schema import Outline

__all__ = ["approve_outline", "approve_pictures"]


def approve_outline(state: State, runtime: Runtime[Context]) -> State:
    """Wait for `{"decision": "approve" | "cancel"}`, or `{"decision": "edit", "outline": {…}}`."""
    answer = interrupt({"asks": "outline", "outline": state["outline"].model_dump(mode="json")})
    if _decision(answer) == "edit":
        try:
            outline = Outline.model_validate(answer.get("outline"))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidBrief(
                f"outline.{where}", str(first["msg"]), "Correct the outline and answer again."
            ) from error
        if not outline.sections:
            raise InvalidBrief("outline.sections", "is empty.", "Keep at least one section, or cancel the run.")
        return {"outline": outline, "to_draft": tuple(range(len(outline.sections)))}
    return {}


def approve_pictures(state: State, runtime: Runtime[Context]) -> State:
    """Wait for `approve`, `cancel`, or `{"decision": "edit", "pictures": {slot: picture id or null}}`:
    a null takes the picture out; another id must be one of that place's alternatives."""
    asked = [
        {
            "slot": choice.slot,
            "picture_id": choice.picture_id,
            "reason": choice.reason,
            "score": choice.score,
            "alternatives": [other.picture_id for other in choice.alternatives],
        }
        for choice in state["choices"]
    ]
    answer = interrupt({"asks": "pictures", "pictures": asked})
    if _decision(answer) != "edit":
        return {}
    wanted = answer.get("pictures")
    if not isinstance(wanted, dict):
        raise InvalidBrief("pictures", f"{wanted!r} is not a mapping.", "Answer with slot → picture id or null.")
    by_slot = {str(choice.slot): choice for choice in state["choices"]}
    for slot in wanted:
        if str(slot) not in by_slot:
            raise InvalidBrief(f"pictures.{slot}", "no picture stands there.", f"Slots are {', '.join(by_slot)}.")
    kept = []
    for slot, choice in by_slot.items():
        picture_id = next((v for k, v in wanted.items() if str(k) == slot), choice.picture_id)
        if picture_id is None:
            continue
        if picture_id != choice.picture_id:
            others = {other.picture_id: other.score for other in choice.alternatives}
            if picture_id not in others:
                raise InvalidBrief(
                    f"pictures.{slot}", f"{picture_id!r} is not an alternative there.", "Pick one that was offered."
                )
            choice = choice.swapped(picture_id, others[picture_id])
        kept.append(choice)
    if len({c.picture_id for c in kept}) < len(kept):
        raise InvalidBrief("pictures", "would show a picture twice.", "Give each picture one place.")
    return {"choices": tuple(kept)}


def _decision(answer: Any) -> str:
    decision = answer.get("decision") if isinstance(answer, dict) else answer
    if decision == "cancel":
        raise RunCanceled("run", "was canceled by the person who was asked.")
    if decision not in ("approve", "edit"):
        raise InvalidBrief("decision", f"{decision!r} is not an answer.", "Say approve, edit or cancel.")
    return str(decision)
