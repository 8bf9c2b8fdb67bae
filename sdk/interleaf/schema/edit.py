"""Edit: one change of a finished piece, by the id of the block that it is about."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from interleaf.schema.word import BlockId, Line, PictureId, Prose, Word

__all__ = [
    "Delete",
    "Edit",
    "Expand",
    "Insert",
    "InsertPicture",
    "Move",
    "NoPicture",
    "Place",
    "Rewrite",
    "SetAlt",
    "SetCaption",
    "SetCredit",
    "SetText",
    "Shorten",
    "SwapPicture",
    "edit_adapter",
]

MAX_TEXT_CHARS = 100_000
MAX_WISH_CHARS = 4_000
MAX_CAPTION_CHARS = 10_000

Wish = Annotated[Prose, Field(max_length=MAX_WISH_CHARS)]
Typed = Annotated[Prose, Field(max_length=MAX_TEXT_CHARS)]


class Place(Word):
    """Where something is put: before a block or after one."""

    before: BlockId | None = None
    after: BlockId | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.before is None) == (self.after is None):
            raise ValueError("a place is `before` a block or `after` one: name exactly one of them")
        return self


class Rewrite(Word):
    """The writer says it in other words, or as `wish` asks."""

    op: Literal["rewrite"] = "rewrite"
    block_id: BlockId
    wish: Wish = ""


class Expand(Word):
    """The writer says more."""

    op: Literal["expand"] = "expand"
    block_id: BlockId
    wish: Wish = ""


class Shorten(Word):
    """The writer says less."""

    op: Literal["shorten"] = "shorten"
    block_id: BlockId
    wish: Wish = ""


class Insert(Word):
    """A new block: typed (`text`), or written by the writer as `wish` asks."""

    op: Literal["insert"] = "insert"
    place: Place
    text: Typed | None = None
    wish: Wish | None = None
    kind: Literal["paragraph", "heading", "quote", "list", "code"] = Field(
        "paragraph", description="Of a typed block; a writer writes paragraphs"
    )
    level: int = Field(2, ge=2, le=6, description="Of a heading")

    @model_validator(mode="after")
    def _typed_or_wished(self) -> Self:
        if (self.text is None) == (self.wish is None):
            raise ValueError("a new block has either `text` or a `wish`, exactly one of them")
        if self.wish is not None and (not self.wish.strip() or self.kind != "paragraph"):
            raise ValueError("a wish says what the new paragraph should be about, and makes a paragraph")
        if self.text is not None and not self.text.strip():
            raise ValueError("the text of a new block is empty")
        return self


class SetText(Word):
    """The text as a person typed it."""

    op: Literal["set_text"] = "set_text"
    block_id: BlockId
    text: Typed

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.text.strip():
            raise ValueError("the text is empty; use op: delete to take the block out")
        return self


class Delete(Word):
    """The block goes."""

    op: Literal["delete"] = "delete"
    block_id: BlockId


class Move(Word):
    """The block stands elsewhere."""

    op: Literal["move"] = "move"
    block_id: BlockId
    place: Place


class _OfPicture(Word):
    picture_id: PictureId | None = Field(None, description="Of an alternative, or of a search in a library")
    upload_id: Line | None = Field(None, description="Of a picture that was sent: upl_…")

    @model_validator(mode="after")
    def _one_picture(self) -> Self:
        if (self.picture_id is None) == (self.upload_id is None):
            raise ValueError("name the picture by `picture_id` or by `upload_id`, exactly one of them")
        return self


class SwapPicture(_OfPicture):
    """A figure shows another picture: one of its alternatives, one that a search found, or one that was sent."""

    op: Literal["swap_picture"] = "swap_picture"
    block_id: BlockId


class InsertPicture(_OfPicture):
    """A new figure."""

    op: Literal["insert_picture"] = "insert_picture"
    place: Place


class NoPicture(Word):
    """No picture here: the figure goes, and its place stays without one."""

    op: Literal["no_picture"] = "no_picture"
    block_id: BlockId


class SetCaption(Word):
    op: Literal["set_caption"] = "set_caption"
    block_id: BlockId
    text: Annotated[Prose, Field(max_length=MAX_CAPTION_CHARS)]


class SetAlt(Word):
    """The alt text; empty only where the picture is decoration and says nothing."""

    op: Literal["set_alt"] = "set_alt"
    block_id: BlockId
    text: Annotated[Prose, Field(max_length=MAX_CAPTION_CHARS)] = ""
    decorative: bool = False

    @model_validator(mode="after")
    def _said_or_decorative(self) -> Self:
        if self.decorative == bool(self.text.strip()):
            raise ValueError("give an alt text, or say `decorative: true` for a picture that needs none")
        return self


class SetCredit(Word):
    op: Literal["set_credit"] = "set_credit"
    block_id: BlockId
    text: Line


Edit = Annotated[
    Rewrite
    | Expand
    | Shorten
    | Insert
    | SetText
    | Delete
    | Move
    | SwapPicture
    | InsertPicture
    | NoPicture
    | SetCaption
    | SetAlt
    | SetCredit,
    Field(discriminator="op"),
]

edit_adapter: TypeAdapter[Edit] = TypeAdapter(Edit)
"""Reads an edit from JSON: `edit_adapter.validate_python({"op": "delete", "block_id": "b-3f"})`."""
