"""Picture table: pictures of the library as rows for a person, and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from interleaf.cli.printing import console, say

if TYPE_CHECKING:
    from interleaf.schema import Picture
    from interleaf.service.service_records import PictureRecord
    from workers.run.shelf import PictureLibrary

__all__ = ["ID_CHARS", "picture_record", "picture_table"]

ID_CHARS: Final = 12


def picture_record(shelf: PictureLibrary, picture: Picture) -> dict[str, Any]:
    """A picture as JSON has it, with its collections."""
    record: dict[str, Any] = picture.model_dump(mode="json", exclude={"collection"})
    return {**record, "collections": list(shelf.collections_of(picture.id))}


def picture_table(rows: Sequence[tuple[Picture | PictureRecord, float | None]], when_empty: str) -> None:
    """Pictures with their scores (all or none have one), or what to say where there are none."""
    from rich.table import Table
    from rich.text import Text

    if not rows:
        say(when_empty)
        return
    scored = rows[0][1] is not None
    table = Table(*(["score"] if scored else []), "id", "size", "caption", "licence", "author")
    for picture, score in rows:
        caption = picture.caption or picture.alt or picture.name
        cells = [f"{score:.3f}"] if score is not None else []
        cells += [picture.id[:ID_CHARS], f"{picture.width_px}×{picture.height_px}", caption[:300]]
        table.add_row(*(Text(cell) for cell in [*cells, picture.licence or "", picture.author or ""]))
    console().print(table)
