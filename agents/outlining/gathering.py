"""Gathering: the sections of all sources that a plan may use, within bounds that keep planning fast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.context import Embedder
from agents.notes.block import SourceBlock, SourceDocument
from agents.notes.document import read_document
from agents.notes.inline import plain_text
from agents.outlining.section import SourceSection, split_by_headings, split_by_topics
from agents.words.redundancy import near_duplicates, shingles
from agents.words.relevance import subject_terms
from interleaf.schema import SourceSpan, SourceText

__all__ = ["Gathered", "gather"]

# More blocks than this are not encoded: words choose among them first.
MAX_ENCODED_BLOCKS = 800
MAX_SECTION_BLOCKS = 80
NEARLY_SAME = 0.8


@dataclass(frozen=True)
class Gathered:
    """The documents as read, and their sections in reading order, each passage once."""

    documents: tuple[SourceDocument, ...]
    sections: tuple[SourceSection, ...]

    def title_of(self, source: int) -> tuple[str, SourceSpan | None]:
        """A document's title and where it stands, when it stands in the text."""
        document = self.documents[source]
        for block in document.blocks:
            if block.kind == "heading" and block.level == 1:
                return plain_text(block.text), block.span
        return document.title, None


def gather(sources: Sequence[SourceText], instruction: str, language: str, embedder: Embedder) -> Gathered:
    """Read the sources and find their sections: the authors' own, or topics where there are no headings."""
    documents = tuple(read_document(source) for source in sources)
    by_source = [split_by_headings(document, number) for number, document in enumerate(documents)]
    kept = _bounded([section for sections in by_source for section in sections], instruction)
    gathered = Gathered(documents, ())
    found: list[SourceSection] = []
    for number in range(len(documents)):
        own = [section for section in kept if section.source == number]
        title, span = gathered.title_of(number)
        if own and not any(section.heading for section in own):
            own = split_by_topics(own, title, language, embedder)
        if own and not own[0].heading and len(documents) > 1:
            # Among several sources, an opening belongs under the title of its own.
            own[0] = replace(own[0], heading=title, heading_span=span)
        found += own
    return Gathered(documents, tuple(_each_passage_once(found)))


def _bounded(sections: list[SourceSection], instruction: str) -> list[SourceSection]:
    """At most MAX_ENCODED_BLOCKS blocks: the sections that hold the subject's words most, or, when the
    instruction names no subject, the first sections of each source."""
    if sum(len(s.all_blocks) for s in sections) <= MAX_ENCODED_BLOCKS:
        return sections
    terms = subject_terms(instruction)
    hits = {id(s): _hits(terms, f"{s.heading} {s.heading} {s.heading}", s.all_blocks) for s in sections}
    order = sorted(sections, key=lambda s: (-round(hits[id(s)], 6), s.place, s.source))
    room = MAX_ENCODED_BLOCKS
    kept: list[SourceSection] = []
    for section in order:
        if room <= 0:
            break
        blocks = section.all_blocks
        most = min(room, MAX_SECTION_BLOCKS)
        if len(blocks) > most:
            ranked = sorted(range(len(blocks)), key=lambda k: (-round(_hits(terms, "", blocks[k : k + 1]), 6), k))
            section = section.keeping({blocks[k].span for k in ranked[:most]})
        room -= len(section.all_blocks)
        kept.append(section)
    return sorted(kept, key=lambda s: (s.source, s.place))


def _hits(terms: Sequence[str], heading: str, blocks: Sequence[SourceBlock]) -> float:
    if not terms:
        return 0.0
    text = (heading + "\n" + "\n".join(b.text for b in blocks)).casefold()
    return sum(math.log1p(text.count(term)) for term in terms) / (1 + math.log1p(len(text) / 5_000))


def _each_passage_once(sections: Sequence[SourceSection]) -> list[SourceSection]:
    """The sections without passages that an earlier one has nearly word for word."""
    blocks = [b for section in sections for b in section.all_blocks]
    repeated = {j for _, j in near_duplicates([shingles(b.text) for b in blocks], NEARLY_SAME)}
    if not repeated:
        return list(sections)
    kept = {b.span for k, b in enumerate(blocks) if k not in repeated}
    return [s for s in (section.keeping(kept) for section in sections) if s.all_blocks]
