"""Answer schema: the JSON Schema of the bodies that answer a job's question, for forms and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from interleaf.schema import Outline

__all__ = ["answer_schema"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def answer_schema(question: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """What `POST …/input` takes for this question: yes, no, or the part that was asked about, edited. What no schema
    can say, such as that a picture stands in one place only, is told when the answer comes."""
    asked = {"request_id": {"const": request_id}}
    plain = _object(asked | {"action": {"enum": ["approve", "cancel"]}})
    told: dict[str, Any] = {"$schema": DIALECT, "oneOf": [plain]}
    if question.get("asks") == "outline":
        outline = Outline.model_json_schema()
        told["$defs"] = outline.pop("$defs", {})
        sections = outline["properties"]["sections"]
        outline["properties"]["sections"] = sections | {"minItems": 1}
        outline["required"] = sorted({*outline.get("required", ()), "sections"})
        part = {"outline": outline}
    elif question.get("asks") == "pictures":
        places = {str(place["slot"]): _choices(place) for place in _places(question)}
        part = {"pictures": {"type": "object", "properties": places, "additionalProperties": False}}
    else:  # asked by a newer worker
        return told
    told["oneOf"].append(_object(asked | {"action": {"const": "edit"}} | part))
    return told


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _places(question: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [place for place in question.get("pictures", ()) if isinstance(place, Mapping) and "slot" in place]


def _choices(place: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "description": "The picture to stand there; null for none",
        "enum": [place.get("picture_id"), *place.get("alternatives", ()), None],
    }
