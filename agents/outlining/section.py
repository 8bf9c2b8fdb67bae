"""Section of a source: a heading and the blocks below it, by the author's structure or by topics found in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.context import Embedder
from agents.notes.block import SourceBlock, SourceDocument
from agents.notes.boilerplate import is_back_matter, is_boilerplate
from agents.notes.inline import plain_text
from agents.outlining.topic import boundary_gaps
from agents.words.phrase import PhraseFinder
from interleaf.schema import SourceSpan
from interleaf.text import count_words

__all__ = ["SourceSection", "split_by_headings", "split_by_topics"]

# A source without headings is cut into topics when it is longer than this.
MIN_TOPIC_BLOCKS = 6
MIN_TOPIC_WORDS = 250
MIN_TOPIC_SECTION_WORDS = 120  # of the average; a piece falls apart into shorter ones
# Very long text without headings is handled in windows until it is known which of it is wanted.
WINDOW_BLOCKS = 60


@dataclass(frozen=True)
class SourceSection:
    """`heading` is plain text, empty for an opening or for text without structure. `source` is the number of
    the document, `place` the number of the section in it. `children` are its subsections, whose blocks are
    not among its own."""

    source: int
    place: int
    heading: str
    heading_span: SourceSpan | None
    level: int
    blocks: tuple[SourceBlock, ...]
    children: tuple[SourceSection, ...] = ()
    by_author: bool = True

    @property
    def all_blocks(self) -> tuple[SourceBlock, ...]:
        """Own blocks and those of the subsections, in reading order."""
        return self.blocks + tuple(b for child in self.children for b in child.all_blocks)

    @property
    def words(self) -> int:
        return sum(count_words(b.text) for b in self.all_blocks)

    def keeping(self, kept: set[SourceSpan]) -> SourceSection:
        """The section with only the blocks whose spans are in `kept`."""
        return replace(
            self,
            blocks=tuple(b for b in self.blocks if b.span in kept),
            children=tuple(c for c in (child.keeping(kept) for child in self.children) if c.all_blocks),
        )


def split_by_headings(document: SourceDocument, source: int) -> list[SourceSection]:
    """The sections of a document by its own headings, back matter and boilerplate left out. A document
    without headings gives windows of bounded length without headings."""
    levels = [b.level for b in document.blocks if b.kind == "heading" and b.level >= 2]
    several = [level for level in sorted(set(levels)) if levels.count(level) >= 2]
    top = several[0] if several else min(levels, default=2)
    found: list[SourceSection] = []
    heading: SourceBlock | None = None
    below: list[SourceBlock] = []
    for block in document.blocks:
        if block.kind == "heading" and block.level <= top:
            found += _section(document, source, len(found), heading, below)
            heading, below = (block if block.level >= 2 else None), []
        else:
            below.append(block)
    found += _section(document, source, len(found), heading, below)
    return found


def _section(
    document: SourceDocument, source: int, place: int, heading: SourceBlock | None, below: Sequence[SourceBlock]
) -> list[SourceSection]:
    if heading is not None and is_back_matter(heading.text):
        return []
    inner = [b.level for b in below if b.kind == "heading"]
    level = min(inner, default=0)
    own: list[SourceBlock] = []
    groups: list[tuple[SourceBlock, list[SourceBlock]]] = []
    for block in below:
        if block.kind == "heading" and block.level == level:
            groups.append((block, []))
        elif block.kind not in ("heading", "image"):
            (groups[-1][1] if groups else own).append(block)
    children = [
        SourceSection(source, k, plain_text(h.text), h.span, 3, tuple(b for b in blocks if not is_boilerplate(b)))
        for k, (h, blocks) in enumerate(groups)
        if not is_back_matter(h.text)
    ]
    blocks = tuple(b for b in own if not is_boilerplate(b))
    section = SourceSection(
        source=source,
        place=place,
        heading=plain_text(heading.text) if heading else "",
        heading_span=heading.span if heading else None,
        level=2,
        blocks=blocks,
        children=tuple(c for c in children if c.blocks),
    )
    if not section.all_blocks:
        return []
    if heading is None and len(blocks) > WINDOW_BLOCKS:
        parts = -(-len(blocks) // WINDOW_BLOCKS)
        edges = [round(len(blocks) * p / parts) for p in range(parts + 1)]
        windows = [replace(section, place=place + p, blocks=blocks[edges[p] : edges[p + 1]]) for p in range(parts)]
        windows[-1] = replace(windows[-1], children=section.children)
        return [replace(w, children=() if w is not windows[-1] else w.children) for w in windows]
    return [section]


def split_by_topics(
    sections: Sequence[SourceSection], title: str, language: str, embedder: Embedder
) -> list[SourceSection]:
    """The sections of one source without headings, cut anew where topics change. Their headings are phrases
    of their own words; the first keeps none: it opens the text."""
    blocks = [b for section in sections for b in section.all_blocks]
    if not blocks:
        return []
    words = sum(count_words(b.text) for b in blocks)
    first = sections[0]
    whole = replace(first, blocks=tuple(blocks), children=(), by_author=False)
    if len(blocks) < MIN_TOPIC_BLOCKS or words < MIN_TOPIC_WORDS:
        return [whole]
    gaps = boundary_gaps(blocks, embedder, most=words // MIN_TOPIC_SECTION_WORDS)
    finder = PhraseFinder([_phrase_text(b) for b in blocks if b.kind != "code"], language)
    edges = (0, *gaps, len(blocks))
    used = [title]
    found: list[SourceSection] = []
    for place, low in enumerate(edges[:-1]):
        own = tuple(blocks[low : edges[place + 1]])
        if place == 0:
            found.append(replace(whole, blocks=own, place=0))
            continue
        heading, span = name_section(finder, own, used)
        used.append(heading)
        found.append(replace(whole, blocks=own, place=place, heading=heading, heading_span=span))
    return found


def name_section(
    finder: PhraseFinder, blocks: Sequence[SourceBlock], avoid: Sequence[str]
) -> tuple[str, SourceSpan | None]:
    """A heading for blocks without one, and where its words stand."""
    said = [b for b in blocks if b.kind != "code"] or list(blocks)
    phrase = finder.find([_phrase_text(b) for b in said], avoid)
    if phrase.index < 0:
        return phrase.text, None
    spans = said[phrase.index].spans(phrase.start, phrase.end)
    return phrase.text, spans[0] if len(spans) == 1 else None


def _phrase_text(block: SourceBlock) -> str:
    """The text with the same offsets, but no phrase reaches from one item or row into the next."""
    return block.text.replace("\n", "|") if block.kind in ("list", "table") else block.text
