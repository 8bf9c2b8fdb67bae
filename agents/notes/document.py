"""Document: a source read into blocks, and a block handed on whole with its provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import Literal

from agents.notes.block import (
    Align,
    BlockKind,
    Piece,
    SourceBlock,
    SourceCell,
    SourceDocument,
    SourceImage,
    SourceItem,
)
from agents.notes.markdown import read_markdown
from agents.notes.plaintext import read_plain_text
from interleaf.schema import (
    Code,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    Provenance,
    Quote,
    SourceText,
    Support,
    Table,
    TextBlock,
)

__all__ = [
    "Align",
    "BlockKind",
    "Piece",
    "SourceBlock",
    "SourceCell",
    "SourceDocument",
    "SourceImage",
    "SourceItem",
    "read_document",
    "to_block",
]

MAX_LIST_DEPTH = 8


# Longer than any heading that a reader would take for one.
MAX_HEADING_CHARS = 400


def read_document(source: SourceText) -> SourceDocument:
    """Reads Markdown or plain text, by `source.media_type`. Any text can be read: what is not understood
    is kept as paragraphs. Raw HTML, comments, link definitions and footnotes' texts are left out.

    Several steps of a run read the same sources: what was read is remembered, as much as one brief may bring."""
    with _reading:
        known = _READ.pop(source, None)
        if known is not None:
            _READ[source] = known  # the newest now
            return known
    document = _read(source)
    with _reading:
        _READ[source] = document
        held = sum(len(one.text) for one in _READ)
        while (held > REMEMBERED_CHARS or len(_READ) > REMEMBERED_DOCUMENTS) and len(_READ) > 1:
            oldest = next(iter(_READ))
            held -= len(oldest.text)
            del _READ[oldest]
    return document


# No fewer than one brief brings, or every step would read all of them anew; a worker reads others for months.
REMEMBERED_DOCUMENTS = 256
REMEMBERED_CHARS = 64 * 2**20
_READ: dict[SourceText, SourceDocument] = {}
_reading = Lock()


def _read(source: SourceText) -> SourceDocument:
    document = read_markdown(source) if source.media_type == "text/markdown" else read_plain_text(source)
    if not any(_is_no_heading(block) for block in document.blocks):
        return document
    # A "heading" of this length is text that somebody underlined or put behind a hash.
    blocks = tuple(
        replace(block, kind="paragraph", level=0) if _is_no_heading(block) else block for block in document.blocks
    )
    return replace(document, blocks=blocks)


def _is_no_heading(block: SourceBlock) -> bool:
    return block.kind == "heading" and len(block.text) > MAX_HEADING_CHARS


def _supports(block: SourceBlock, ranges: Sequence[tuple[int, int]]) -> tuple[Support, ...]:
    found = []
    for start, end in ranges:
        spans = block.spans(start, end)
        if spans:
            found.append(Support(start=start, end=end, spans=spans, how="copied"))
    return tuple(found)


def _table_supports(block: SourceBlock) -> tuple[Support, ...]:
    found, at = [], 0
    for row in ((block.header,) if block.header else ()) + block.rows:
        for k, cell in enumerate(row):
            at += len(" | ") if k else 0
            if cell.span is not None and cell.text:
                found.append(Support(start=at, end=at + len(cell.text), spans=(cell.span,), how="copied"))
            at += len(cell.text)
        at += len("\n")
    return tuple(found)


def to_block(block: SourceBlock, block_id: str, markup: Literal["plain", "markdown"] = "markdown") -> TextBlock:
    """The article's block for a source block that survives whole, with a support for each of its parts
    (item, cell, piece). `markup` is `plain` for plain-text sources. ValueError for a picture."""
    if block.kind == "list":
        provenance = Provenance(
            origin="source", supports=_supports(block, [(i.at_start, i.at_end) for i in block.items])
        )
        items = tuple(ListItem(text=i.text, depth=min(i.depth, MAX_LIST_DEPTH), ordered=i.ordered) for i in block.items)
        return ListBlock(id=block_id, provenance=provenance, markup=markup, items=items, start=block.items[0].number)
    if block.kind == "table":
        provenance = Provenance(origin="source", supports=_table_supports(block))
        return Table(
            id=block_id,
            provenance=provenance,
            markup=markup,
            header=tuple(c.text for c in block.header),
            rows=tuple(tuple(c.text for c in row) for row in block.rows),
            align=block.align,
        )
    provenance = Provenance(origin="source", supports=_supports(block, [(0, len(block.text))]))
    if block.kind == "code":
        return Code(id=block_id, provenance=provenance, text=block.text, language=block.language)
    if block.kind == "quote":
        return Quote(id=block_id, provenance=provenance, markup=markup, text=block.text)
    if block.kind == "heading":
        return Heading(id=block_id, provenance=provenance, markup=markup, level=max(2, block.level), text=block.text)
    if block.kind == "paragraph":
        return Paragraph(id=block_id, provenance=provenance, markup=markup, text=block.text)
    raise ValueError(f"a block of kind {block.kind} has no text of its own")
