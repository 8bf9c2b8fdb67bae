"""Given edit: an edit as a caller hands it in: as the value, or as its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from interleaf.errors import InvalidRequest, shown
from interleaf.schema.edit import Edit, edit_adapter

__all__ = ["GivenEdit", "edit_of"]

GivenEdit = Edit | Mapping[str, Any]
"""An edit, or its fields: {"op": "delete", "block_id": "b-3f"}."""


def edit_of(given: GivenEdit) -> Edit:
    """The edit. InvalidRequest names the field that is wrong."""
    if isinstance(given, BaseModel):
        return given
    try:
        return edit_adapter.validate_python(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        # The tag of the kind of edit stands first, and is no field.
        field = ".".join(["edit", *(str(part) for part in first["loc"][1:])])
        said = shown(str(first["msg"]).removeprefix("Value error, "))
        raise InvalidRequest(field, f"{said}.", "See interleaf.schema.edit.") from error
