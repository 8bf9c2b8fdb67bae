"""Picture rows: a row of the catalog as a Picture; what reading pictures needs, without numpy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from interleaf.schema import Picture

__all__ = ["CATALOG_FILE", "FIELDS", "picture_of"]

CATALOG_FILE: Final = "catalog.sqlite"
FIELDS: Final = (
    "id, media_type, width_px, height_px, size_bytes, name, caption, caption_origin, alt, keywords, "
    "author, licence, source_url, taken_at, perceptual_hash"
)
_NAMES: Final = tuple(name.strip() for name in FIELDS.split(","))


def picture_of(fields: Sequence[Any], collection: str) -> Picture:
    """The picture of a row that has `FIELDS`, as one of that collection."""
    values = dict(zip(_NAMES, fields, strict=True))
    values["keywords"] = tuple(json.loads(values["keywords"]))
    values["taken_at"] = datetime.fromisoformat(values["taken_at"]) if values["taken_at"] else None
    return Picture(collection=collection, **values)
