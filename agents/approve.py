"""Approve: the two places where the workflow stops and waits for a person, for days if need be.

An answer becomes part of the run's checkpoint the moment it is given, so whoever takes it checks it first
with `check_answer`: a wrong one is refused and the run goes on waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import ValidationError

from agents.context import Choice, Context, RunnerUp
from agents.state import State
from interleaf.errors import InvalidBrief, RunCanceled
from interleaf.schema import Outline

__all__ = ["approve_outline", "approve_pictures", "check_answer"]

Decision = Literal["approve", "edit", "cancel"]


def check_answer(question: Mapping[str, Any], answer: Any) -> None:
    """InvalidBrief when `answer` is none to `question` (what the run's interrupt asked)."""
    if _decision(answer) == "edit":
        if question["asks"] == "outline":
            _edited_outline(answer)
        else:
            _edited_pictures(question["pictures"], answer)


def approve_outline(state: State, runtime: Runtime[Context]) -> State:
    """Wait for `{"decision": "approve" | "cancel"}`, or `{"decision": "edit", "outline": {…}}`."""
    answer = interrupt({"asks": "outline", "outline": state["outline"].model_dump(mode="json")})
    if _said(answer) == "edit":
        outline = _edited_outline(answer)
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
    if _said(answer) != "edit":
        return {}
    wanted = _edited_pictures(asked, answer)
    kept = tuple(
        _swapped(choice, wanted[str(choice.slot)])
        for choice in state["choices"]
        if wanted[str(choice.slot)] is not None
    )
    return {"choices": kept}


def _decision(answer: Any) -> Decision:
    decision = answer.get("decision") if isinstance(answer, dict) else answer
    if decision not in ("approve", "edit", "cancel"):
        raise InvalidBrief("decision", f"{decision!r} is not an answer.", "Say approve, edit or cancel.")
    return decision  # type: ignore[no-any-return]


def _said(answer: Any) -> Decision:
    decision = _decision(answer)
    if decision == "cancel":
        raise RunCanceled("run", "was canceled by the person who was asked.")
    return decision


def _edited_outline(answer: Any) -> Outline:
    try:
        outline = Outline.model_validate(answer.get("outline") if isinstance(answer, dict) else None)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("outline", *first["loc"]))
        raise InvalidBrief(where, str(first["msg"]), "Correct the outline and answer again.") from error
    if not outline.sections:
        raise InvalidBrief("outline.sections", "is empty.", "Keep at least one section, or cancel the run.")
    return outline


def _edited_pictures(asked: list[dict[str, Any]], answer: Any) -> dict[str, str | None]:
    """Slot → the picture that shall stand there, for every slot that was asked about."""
    wanted = answer.get("pictures") if isinstance(answer, dict) else None
    if not isinstance(wanted, dict):
        raise InvalidBrief("pictures", f"{wanted!r} is not a mapping.", "Answer with slot → picture id or null.")
    offered = {str(place["slot"]): place for place in asked}
    result: dict[str, str | None] = {slot: place["picture_id"] for slot, place in offered.items()}
    for key, picture_id in wanted.items():
        slot = str(key)
        if slot not in offered:
            raise InvalidBrief(f"pictures.{slot}", "no picture stands there.", f"Slots are {', '.join(offered)}.")
        if picture_id is not None and picture_id not in (offered[slot]["picture_id"], *offered[slot]["alternatives"]):
            raise InvalidBrief(
                f"pictures.{slot}", f"{picture_id!r} is not an alternative there.", "Pick one that was offered."
            )
        result[slot] = picture_id
    ids = [picture_id for picture_id in result.values() if picture_id is not None]
    if len(set(ids)) < len(ids):
        raise InvalidBrief("pictures", "would show a picture twice.", "Give each picture one place.")
    return result


def _swapped(choice: Choice, picture_id: str | None) -> Choice:
    """The same place with what a person chose for it."""
    if picture_id is None or picture_id == choice.picture_id:
        return choice
    score = next(other.score for other in choice.alternatives if other.picture_id == picture_id)
    rest = tuple(other for other in choice.alternatives if other.picture_id != picture_id)
    return replace(
        choice,
        picture_id=picture_id,
        score=score,
        reason="A person chose it.",
        alternatives=(RunnerUp(choice.picture_id, choice.score), *rest),
    )
