"""Brief file: a brief written by hand as YAML or JSON, read with errors that name the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from interleaf.errors import InvalidBrief, shown
from interleaf.schema import Brief

__all__ = ["brief_fields", "brief_from", "read_brief"]

MAX_BRIEF_BYTES = 4 * 2**20
REMEDY = "`interleaf schema brief` prints every field."


def brief_from(fields: Brief | Mapping[str, Any]) -> Brief:
    """A validated brief. InvalidBrief names the first wrong field, its value and what was expected."""
    if isinstance(fields, Brief):
        return fields
    try:
        return Brief.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = _path(first["loc"]) or "brief"
        said = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = ", ".join(Brief.model_fields)
            raise InvalidBrief(where, "is not a field of a brief.", f"Fields are: {known}.") from error
        value = first.get("input")
        told = "" if isinstance(value, dict | list) or first["type"] == "missing" else f" (value: {shown(value)!r})"
        raise InvalidBrief(where, f"{said}{told}.", REMEDY) from error


def read_brief(path: Path) -> tuple[Brief, Path]:
    """The brief in a YAML or JSON file, and the folder from which its relative paths start."""
    fields, folder = brief_fields(path)
    return brief_from(fields), folder


def brief_fields(path: Path) -> tuple[dict[str, Any], Path]:
    """The same before it is held against the schema, as it is when placeholders stand in it. InvalidBrief when there
    are no fields in the file."""
    try:
        if path.stat().st_size > MAX_BRIEF_BYTES:
            raise InvalidBrief(path.name, f"is larger than {MAX_BRIEF_BYTES} bytes.", "Put long notes into files.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidBrief(str(path), f"cannot be read ({error.strerror}).", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise InvalidBrief(path.name, "is not UTF-8 text.", "Save it as UTF-8.") from error
    try:
        fields = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (yaml.YAMLError, json.JSONDecodeError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        raise InvalidBrief(f"{path.name}{line}", f"cannot be parsed: {shown(error)}", "Correct the syntax.") from error
    if not isinstance(fields, dict):
        raise InvalidBrief(path.name, "holds no fields.", "Write `instruction: …` at least. " + REMEDY)
    return fields, path.absolute().parent


def _path(loc: tuple[int | str, ...]) -> str:
    said = ""
    for part in loc:
        said += f"[{part}]" if isinstance(part, int) else (f".{part}" if said else part)
    return said
