"""Block of a source: its words, its kind, and its exact place in the source.

Offsets are code points of `SourceText.text`. A block's `text` is put together from `pieces`: runs that
stand unbroken in the source. Between two pieces the source holds something that is not said (a quote
mark, a list marker, a picture, a footnote mark, a comment), so `SourceBlock.spans` gives, for any part of
the block's text, the spans that it was copied from.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from interleaf.schema import SourceSpan, SourceText

__all__ = [
    "Align",
    "BlockKind",
    "Piece",
    "SourceBlock",
    "SourceCell",
    "SourceDocument",
    "SourceImage",
    "SourceItem",
    "build_pieces",
]

BlockKind = Literal["heading", "paragraph", "list", "quote", "code", "table", "image"]
Align = Literal["left", "right", "center", ""]
# No space is put before these when a mark between two pieces is taken out.
_CLOSING = frozenset(".,;:!?)]}、。，；：！？）」』】》")


@dataclass(frozen=True)
class Piece:
    """`block.text[at : at + (end - start)]` is `source.text[start:end]`."""

    at: int
    start: int
    end: int


@dataclass(frozen=True)
class SourceItem:
    """One item of a list: `block.text[at_start:at_end]`; `span` covers its words in the source."""

    text: str
    span: SourceSpan
    at_start: int
    at_end: int
    depth: int = 0
    ordered: bool = False
    number: int = 1


@dataclass(frozen=True)
class SourceCell:
    """One cell of a table. `span` is None for an empty cell."""

    text: str
    span: SourceSpan | None


@dataclass(frozen=True)
class SourceBlock:
    """One block of a source. `span` covers its words; `level` is 1 for a title, 2 to 6 for other headings.

    `text` of a list is its items joined by newlines, of a table its rows as `interleaf.schema.Table` joins
    them, of a picture empty.
    """

    kind: BlockKind
    span: SourceSpan
    text: str
    pieces: tuple[Piece, ...] = ()
    level: int = 0
    items: tuple[SourceItem, ...] = ()
    header: tuple[SourceCell, ...] = ()
    rows: tuple[tuple[SourceCell, ...], ...] = ()
    align: tuple[Align, ...] = ()
    language: str = ""
    images: tuple[int, ...] = ()  # indices into SourceDocument.images

    def spans(self, start: int = 0, end: int | None = None) -> tuple[SourceSpan, ...]:
        """The source spans that `text[start:end]` was copied from, in order; one when it stands unbroken."""
        end = len(self.text) if end is None else end
        found = []
        first = max(0, bisect_right(self.pieces, start, key=lambda p: p.at) - 1)
        for piece in self.pieces[first:]:
            if piece.at >= end:
                break
            low = max(start, piece.at)
            high = min(end, piece.at + piece.end - piece.start)
            if low < high:
                shift = piece.start - piece.at
                found.append(SourceSpan(source_id=self.span.source_id, start=low + shift, end=high + shift))
        return tuple(found)

    def text_range(self, span: SourceSpan) -> tuple[int, int]:
        """The part of `text` that was copied from within `span`; (0, 0) when there is none."""
        low, high = None, 0
        for piece in self.pieces:
            start, end = max(span.start, piece.start), min(span.end, piece.end)
            if start < end:
                shift = piece.at - piece.start
                low = start + shift if low is None else low
                high = end + shift
        return (0, 0) if low is None else (low, high)


@dataclass(frozen=True)
class SourceImage:
    """A picture that a source shows. `path` is as written (a relative path, a URL: not checked here);
    `span` is the place of the mark-up that shows it."""

    path: str
    alt: str
    caption: str
    span: SourceSpan


@dataclass(frozen=True)
class SourceDocument:
    """A source's blocks in reading order. `title` comes from the front matter or the document's first
    heading; `language` and `author` from the front matter. They are empty when the source does not say."""

    source: SourceText
    blocks: tuple[SourceBlock, ...]
    images: tuple[SourceImage, ...] = ()
    title: str = ""
    language: str = ""
    author: str = ""

    def block_at(self, offset: int) -> SourceBlock | None:
        """The block whose span holds `offset`."""
        k = bisect_right(self.blocks, offset, key=lambda b: b.span.start) - 1
        return self.blocks[k] if k >= 0 and offset < self.blocks[k].span.end else None

    def blocks_in(self, span: SourceSpan) -> tuple[SourceBlock, ...]:
        """The blocks that overlap `span`."""
        k = max(0, bisect_right(self.blocks, span.start, key=lambda b: b.span.start) - 1)
        found = []
        for block in self.blocks[k:]:
            if block.span.start >= span.end:
                break
            if block.span.end > span.start:
                found.append(block)
        return tuple(found)


def build_pieces(text: str, runs: Iterable[tuple[str, int, int]]) -> tuple[str, tuple[Piece, ...]]:
    """A block's text and pieces from runs `(joint, start, end)` of the source's text: each run is trimmed,
    and put after its joint. Runs with nothing but white space between them become one piece."""
    parts: list[str] = []
    pieces: list[Piece] = []
    length = 0
    for given_joint, run_start, run_end in runs:
        joint = given_joint
        start, end = run_start, run_end
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start == end:
            continue
        if not pieces:
            joint = ""
        elif joint in ("", "\n", " "):
            last = pieces[-1]
            gap = text[last.end : start]
            if not gap.strip():
                parts.append(text[last.end : end])
                length += end - last.end
                pieces[-1] = Piece(last.at, last.start, end)
                continue
            spaced = start > run_start or text[last.end].isspace()
            if joint == "" and spaced and text[start] not in _CLOSING:
                joint = " "
        parts.append(joint + text[start:end])
        pieces.append(Piece(length + len(joint), start, end))
        length += len(joint) + end - start
    return "".join(parts), tuple(pieces)
