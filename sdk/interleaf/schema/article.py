"""Article: the finished piece, blocks with stable ids, each with its provenance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from interleaf.schema.picture import Picture
from interleaf.schema.report import Report
from interleaf.schema.run import Run
from interleaf.schema.source import SourceRecord, SourceSpan
from interleaf.schema.word import SCHEMA_VERSION, BlockId, Line, PictureId, Prose, Word

__all__ = [
    "Alternative",
    "Article",
    "Block",
    "Code",
    "Figure",
    "Heading",
    "ListBlock",
    "ListItem",
    "Paragraph",
    "Provenance",
    "Quote",
    "Support",
    "Table",
    "TextBlock",
]


class Support(Word):
    """One sentence of a block, `text[start:end]` of the block's own text, and the spans it rests on.

    `how` is `copied` when the sentence equals the source after white space folding,
    `adapted` when words were changed, `supported` when a model wrote it resting on the spans.
    """

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    spans: tuple[SourceSpan, ...]
    how: Literal["copied", "adapted", "supported"] = "copied"


class Provenance(Word):
    """Where a block comes from. Supports cover every sentence of an extractive text block."""

    origin: Literal["source", "library", "person", "model", "workflow"]
    supports: tuple[Support, ...] = ()


class _BlockBase(Word):
    id: BlockId
    provenance: Provenance


class _TextBlock(_BlockBase):
    markup: Literal["plain", "markdown"] = Field(
        "plain", description="`markdown`: the text holds CommonMark inline markup from a source; never HTML"
    )


class Heading(_TextBlock):
    """A heading under the title; level 2 is a section."""

    type: Literal["heading"] = "heading"
    level: int = Field(2, ge=2, le=6)
    text: Line


class Paragraph(_TextBlock):
    type: Literal["paragraph"] = "paragraph"
    text: Prose


class ListItem(Word):
    text: Prose
    depth: int = Field(0, ge=0, le=8)
    ordered: bool = False


class ListBlock(_TextBlock):
    """A list that survives whole; nesting by `depth`. Supports index into `text` (items joined by newlines)."""

    type: Literal["list"] = "list"
    items: tuple[ListItem, ...] = Field(min_length=1)
    start: int = Field(1, description="Number of the first item of an ordered list")

    @property
    def text(self) -> str:
        return "\n".join(item.text for item in self.items)


class Quote(_TextBlock):
    type: Literal["quote"] = "quote"
    text: Prose


class Code(_BlockBase):
    type: Literal["code"] = "code"
    text: Prose
    language: Line = ""


class Table(_TextBlock):
    type: Literal["table"] = "table"
    header: tuple[Prose, ...] = ()
    rows: tuple[tuple[Prose, ...], ...] = ()
    align: tuple[Literal["left", "right", "center", ""], ...] = ()

    @property
    def text(self) -> str:
        return "\n".join(" | ".join(row) for row in ((self.header,) if self.header else ()) + self.rows)


class Alternative(Word):
    """A picture that was considered for the same place."""

    picture_id: PictureId
    score: float
    caption: Prose = ""


class Figure(_BlockBase):
    """A picture in its place. `reason` says in one sentence why here; `score` in 0..1 how sure."""

    type: Literal["figure"] = "figure"
    picture_id: PictureId
    caption: Prose = ""
    caption_origin: Literal["library", "composed", "source", "person", "model", "none"] = "library"
    alt: Prose = ""
    alt_origin: Literal["library", "caption", "composed", "person", "model", "decorative"] = "library"
    credit: Line = Field("", description="Author, source and licence in one line, as rendered")
    licence: Line | None = None
    reason: Line
    score: float = Field(ge=0, le=1)
    alternatives: tuple[Alternative, ...] = ()


TextBlock = Heading | Paragraph | ListBlock | Quote | Code | Table
Block = Annotated[Heading | Paragraph | ListBlock | Quote | Code | Table | Figure, Field(discriminator="type")]


class Article(Word):
    """A finished piece. `pictures` holds every picture that a figure or an alternative names."""

    schema_version: str = SCHEMA_VERSION
    title: Line
    language: str
    blocks: tuple[Block, ...]
    pictures: tuple[Picture, ...] = ()
    sources: tuple[SourceRecord, ...] = ()
    report: Report
    run: Run

    @property
    def figures(self) -> tuple[Figure, ...]:
        return tuple(b for b in self.blocks if isinstance(b, Figure))

    @property
    def text_blocks(self) -> tuple[TextBlock, ...]:
        return tuple(b for b in self.blocks if not isinstance(b, Figure))

    def picture(self, picture_id: str) -> Picture:
        """The picture with that id. KeyError when the article does not name it."""
        for picture in self.pictures:
            if picture.id == picture_id:
                return picture
        raise KeyError(picture_id)

    def __iter__(self) -> Iterator[Block]:  # type: ignore[override]
        return iter(self.blocks)
