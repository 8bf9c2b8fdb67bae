"""Changed: an article with one edit carried out. Nothing but the named block, its place and the report changes.

An edit that a writer carries out arrives here as the block that it wrote (rewriting.py); everything else is done here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from agents.context import Candidate, Choice
from agents.figure import make_figure
from agents.notes.sentence import split_sentences
from interleaf.errors import BlockUnknown, EditRefused
from interleaf.schema import (
    Alternative,
    Article,
    Block,
    Code,
    Figure,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    Picture,
    Provenance,
    Quote,
    Support,
    TextBlock,
)
from interleaf.schema.edit import (
    Delete,
    Edit,
    Expand,
    Insert,
    InsertPicture,
    Move,
    NoPicture,
    Place,
    Rewrite,
    SetAlt,
    SetCaption,
    SetCredit,
    SetText,
    Shorten,
    SwapPicture,
)
from interleaf.text import clean_line, fold_space

__all__ = ["Written", "changed", "needs_picture", "needs_writer"]

ID_HEX_DIGITS = 16
MAX_ALTERNATIVES = 20
PICKED = "A person picked it."
T = TypeVar("T")
_OWN = Provenance(origin="person")


@dataclass(frozen=True)
class Written:
    """What a writer made of a block: its text and what that rests on."""

    text: str
    provenance: Provenance
    markup: Literal["plain", "markdown"] = "plain"


def needs_writer(edit: Edit) -> bool:
    """Whether a writer carries it out."""
    return isinstance(edit, Rewrite | Expand | Shorten) or (isinstance(edit, Insert) and edit.wish is not None)


def needs_picture(edit: Edit) -> bool:
    """Whether a picture must be brought for it."""
    return isinstance(edit, SwapPicture | InsertPicture)


def changed(
    article: Article, edit: Edit, *, salt: str, written: Written | None = None, picture: Picture | None = None
) -> Article:
    """The article after the edit.

    `salt` tells this edit from all others of the piece (such as the number of the new version): ids of new blocks are
    made from it, so that the same edit at the same version gives the same bytes. `written`: from the writer, where
    `needs_writer`. `picture`: what is to be shown, where `needs_picture`.

    BlockUnknown names a block that is not there; EditRefused says why an edit does not fit its block.
    """
    blocks = list(article.blocks)
    match edit:
        case Rewrite() | Expand() | Shorten():
            at = _at(blocks, edit.block_id)
            blocks[at] = _rewritten(blocks[at], _given(written))
        case Insert():
            blocks.insert(_slot(blocks, edit.place), _new_block(blocks, edit, salt, written))
        case SetText():
            at = _at(blocks, edit.block_id)
            blocks[at] = _typed(blocks[at], edit.text, article.language)
        case Delete():
            del blocks[_at(blocks, edit.block_id)]
        case NoPicture():
            at, _ = _figure(blocks, edit.block_id)
            del blocks[at]
        case Move():
            blocks = _moved(blocks, edit)
        case SwapPicture():
            at, figure = _figure(blocks, edit.block_id)
            blocks[at] = _swapped(article, figure, _new_here(blocks, _given(picture), figure))
        case InsertPicture():
            figure = _figure_of(_new_here(blocks, _given(picture), None))
            slot = _slot(blocks, edit.place)
            blocks.insert(slot, figure.model_copy(update={"id": _new_id(blocks, salt)}))
        case SetCaption():
            at, figure = _figure(blocks, edit.block_id)
            text = edit.text.strip()
            blocks[at] = figure.model_copy(update={"caption": text, "caption_origin": "person" if text else "none"})
        case SetAlt():
            at, figure = _figure(blocks, edit.block_id)
            origin = "decorative" if edit.decorative else "person"
            blocks[at] = figure.model_copy(update={"alt": clean_line(edit.text), "alt_origin": origin})
        case SetCredit():
            at, figure = _figure(blocks, edit.block_id)
            blocks[at] = figure.model_copy(update={"credit": edit.text})
    if not any(not isinstance(block, Figure) for block in blocks):
        raise EditRefused("block_id", "it is the last text of the piece.", "Delete the document instead.")
    known = {one.id: one for one in article.pictures} | ({picture.id: picture} if picture is not None else {})
    shown = {one for block in blocks if isinstance(block, Figure) for one in _pictures_of(block)}
    pictures = tuple(known[one] for one in sorted(shown) if one in known)
    return article.model_copy(update={"blocks": tuple(blocks), "pictures": pictures})


def _pictures_of(figure: Figure) -> tuple[str, ...]:
    return (figure.picture_id, *(other.picture_id for other in figure.alternatives))


def _at(blocks: Sequence[Block], block_id: str) -> int:
    for at, block in enumerate(blocks):
        if block.id == block_id:
            return at
    raise BlockUnknown(block_id, "is no block of this version.", "Read the document again: it may have changed.")


def _figure(blocks: Sequence[Block], block_id: str) -> tuple[int, Figure]:
    at = _at(blocks, block_id)
    block = blocks[at]
    if not isinstance(block, Figure):
        raise EditRefused("block_id", f"{block_id} is a {block.type} and shows no picture.", "Name a figure.")
    return at, block


def _slot(blocks: Sequence[Block], place: Place) -> int:
    """How many blocks stand before the place."""
    if place.before is not None:
        return _at(blocks, place.before)
    assert place.after is not None
    return _at(blocks, place.after) + 1


def _moved(blocks: Sequence[Block], edit: Move) -> list[Block]:
    at = _at(blocks, edit.block_id)
    if edit.block_id in (edit.place.before, edit.place.after):
        return list(blocks)
    rest = [*blocks[:at], *blocks[at + 1 :]]
    rest.insert(_slot(rest, edit.place), blocks[at])
    return rest


def _given(thing: T | None) -> T:
    if thing is None:
        raise TypeError("this edit needs what a writer wrote, or a picture")
    return thing


def _new_id(blocks: Sequence[Block], salt: str) -> str:
    taken = {block.id for block in blocks}
    number = 0
    while True:
        found = "b-" + hashlib.sha256(f"{salt}\0{number}".encode()).hexdigest()[:ID_HEX_DIGITS]
        if found not in taken:
            return found
        number += 1


def _rewritten(block: Block, written: Written) -> Block:
    if not isinstance(block, Paragraph | Quote):
        raise EditRefused(
            "block_id", f"a {block.type} is not written anew by a writer.", "Name a paragraph, or use op: set_text."
        )
    return block.model_copy(
        update={"text": written.text, "provenance": written.provenance, "markup": written.markup},
    )


def _new_block(blocks: Sequence[Block], edit: Insert, salt: str, written: Written | None) -> Block:
    block_id = _new_id(blocks, salt)
    if edit.text is None:
        made = _given(written)
        return Paragraph.model_validate(
            {"id": block_id, "text": made.text, "provenance": made.provenance, "markup": made.markup}
        )
    text = edit.text.strip()
    match edit.kind:
        case "heading":
            return Heading(id=block_id, provenance=_OWN, level=edit.level, text=_one_line(text))
        case "quote":
            return Quote(id=block_id, provenance=_OWN, text=text)
        case "list":
            return ListBlock(id=block_id, provenance=_OWN, items=_items(text, ordered=False))
        case "code":
            return Code(id=block_id, provenance=_OWN, text=edit.text.strip("\n"))
        case _:
            return Paragraph(id=block_id, provenance=_OWN, text=text)


def _typed(block: Block, text: str, language: str) -> Block:
    """The block with a person's words. Sentences that were kept as they were still rest on what they rested on."""
    if isinstance(block, Figure):
        raise EditRefused("block_id", "a figure has no text.", "Use op: set_caption, set_alt or set_credit.")
    if block.type == "table":
        raise EditRefused("block_id", "a table is not typed as text.", "Delete it and insert what is to stand there.")
    if isinstance(block, Code):
        return block.model_copy(update={"text": text.strip("\n"), "provenance": _OWN})
    if isinstance(block, ListBlock):
        items = _items(text, ordered=block.items[0].ordered)
        return _with_supports(block.model_copy(update={"items": items}), block, language)
    said = _one_line(text) if isinstance(block, Heading) else text.strip()
    return _with_supports(block.model_copy(update={"text": said}), block, language)


def _one_line(text: str) -> str:
    line = clean_line(text)
    if len(line) > 4_000:
        raise EditRefused("text", f"has {len(line)} characters, and a heading at most 4000.", "Shorten it.")
    return line


def _with_supports(new: TextBlock, old: TextBlock, language: str) -> TextBlock:
    """`new` with the supports of sentences that both have, in the old order and each once."""
    kept: list[Support] = []
    sentences = split_sentences(new.text, language)
    said = [fold_space(new.text[start:end]) for start, end in sentences]
    at = 0
    for support in old.provenance.supports:
        wanted = fold_space(old.text[support.start : support.end])
        if wanted and wanted in said[at:]:
            at = said.index(wanted, at)
            start, end = sentences[at]
            kept.append(support.model_copy(update={"start": start, "end": end}))
            at += 1
    return new.model_copy(update={"provenance": Provenance(origin="person", supports=tuple(kept))})


def _items(text: str, *, ordered: bool) -> tuple[ListItem, ...]:
    """A line each; two spaces in front are a level."""
    found = []
    for line in text.splitlines():
        if line.strip():
            indent = len(line.expandtabs(2)) - len(line.expandtabs(2).lstrip(" "))
            found.append(ListItem(text=line.strip(), depth=min(8, indent // 2), ordered=ordered))
    return tuple(found)


def _new_here(blocks: Sequence[Block], picture: Picture, instead_of: Figure | None) -> Picture:
    """The picture. EditRefused when another figure shows it already."""
    for block in blocks:
        if isinstance(block, Figure) and block.picture_id == picture.id:
            if instead_of is not None and block.id == instead_of.id:
                raise EditRefused("picture_id", "the figure shows that picture already.", "Name another one.")
            raise EditRefused("picture_id", f"figure {block.id} shows that picture.", "Move that figure instead.")
    return picture


def _figure_of(picture: Picture) -> Figure:
    candidate = Candidate(picture)
    return make_figure(Choice(0, picture.id, 1.0, PICKED), candidate, {picture.id: candidate})


def _swapped(article: Article, figure: Figure, picture: Picture) -> Figure:
    """The figure in its place and under its id, with the other picture; the one before is an alternative now."""
    before = next((one for one in article.pictures if one.id == figure.picture_id), None)
    others = [other for other in figure.alternatives if other.picture_id != picture.id]
    if before is not None:
        others.insert(0, Alternative(picture_id=before.id, score=figure.score, caption=before.caption))
    return _figure_of(picture).model_copy(update={"id": figure.id, "alternatives": tuple(others[:MAX_ALTERNATIVES])})
