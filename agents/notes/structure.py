"""Structure of a document, found once its blocks are read: captions, heading levels, the title."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from agents.notes.block import SourceBlock, SourceImage
from agents.notes.inline import is_caption, plain_text

__all__ = ["level_headings", "take_captions"]


def take_captions(blocks: Iterable[SourceBlock], images: list[SourceImage]) -> Iterator[SourceBlock]:
    """Takes the line below a picture as its caption, where it is one, and out of the text."""
    shown: int | None = None
    for block in blocks:
        if shown is not None and block.kind == "paragraph" and not images[shown].caption and is_caption(block.text):
            images[shown] = replace(images[shown], caption=plain_text(block.text))
            shown = None
            continue
        shown = block.images[-1] if block.kind == "image" and block.images else None
        yield block


def level_headings(blocks: Iterable[SourceBlock]) -> tuple[list[SourceBlock], str]:
    """Heading levels without gaps: 1 for a title that stands above everything, 2 and more below it."""
    kept = list(blocks)
    headings = [b for b in kept if b.kind == "heading"]
    if not headings:
        return kept, ""
    used = sorted({b.level for b in headings})
    first = headings[0]
    before = next(k for k, b in enumerate(kept) if b is first)
    alone = sum(b.level == first.level for b in headings) == 1 and first.level == used[0]
    titled = alone and before <= 1
    rank = {level: min(6, k + (1 if titled else 2)) for k, level in enumerate(used)}
    kept = [replace(b, level=rank[b.level]) if b.kind == "heading" else b for b in kept]
    return kept, plain_text(first.text) if titled else ""
