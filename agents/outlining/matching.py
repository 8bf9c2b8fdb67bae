"""Matching: material of the sources for the sections of an outline that a person gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.context import Embedder
from agents.notes.block import SourceBlock
from agents.outlining.allotment import allot
from agents.outlining.material import bundles, choose_material
from agents.outlining.section import SourceSection
from agents.words.lexicon import build_lexicon
from agents.words.relevance import SENSE_CEILING, SENSE_FLOOR, block_text, lexical_relevance, subject_terms
from interleaf.schema import Outline, OutlineSection
from interleaf.text import count_words, fold_space

__all__ = ["match_outline"]

Table = NDArray[np.float64]

# A passage below this worth has nothing to do with a section.
LEAST_WORTH = 0.22
SAME_HEADING_BONUS = 0.5
SECTION_SHARE = 0.35  # how much of a passage's worth is that of the source's section it stands in


@dataclass(frozen=True)
class _Passage:
    blocks: tuple[SourceBlock, ...]
    section: int


def match_outline(
    given: Outline, sections: Sequence[SourceSection], length_words: int, instruction: str, embedder: Embedder
) -> Outline:
    """The given outline, its headings, order and lengths kept, with material for each section by relevance; a
    passage serves one section only. Sections that have material already keep it; a section for which nothing
    is found has none. An opening without heading and points takes what the sources begin with."""
    taken = {(m.source_id, m.start) for s in given.sections for m in s.material}
    passages = [
        _Passage(tuple(section.all_blocks[i] for i in group), k)
        for k, section in enumerate(sections)
        for group in bundles(section.all_blocks)
    ]
    passages = [p for p in passages if not any((b.span.source_id, b.span.start) in taken for b in p.blocks)]
    queries = [_query(section) for section in given.sections]
    worths = _worths(queries, passages, sections, embedder)
    owners = worths.argmax(axis=0) if len(given.sections) and passages else np.zeros(0, dtype=np.int64)
    own: list[list[int]] = [[] for _ in given.sections]
    for number, owner in enumerate(owners):
        if worths[owner, number] >= LEAST_WORTH:
            own[int(owner)].append(number)
    left = [n for n in range(len(passages)) if not any(n in chosen for chosen in own)]
    for k, section in enumerate(given.sections):
        if not queries[k] and not section.material:
            own[k] = left[: max(1, len(left) // 4)] or []
            left = left[len(own[k]) :]
    found_words = [
        sum(count_words(b.text) for n in chosen for b in passages[n].blocks) + count_words(section.heading)
        for chosen, section in zip(own, given.sections, strict=True)
    ]
    lengths = _lengths(given.sections, own, found_words, length_words)
    planned = []
    for k, section in enumerate(given.sections):
        if section.material:
            planned.append(section.model_copy(update={"length_words": lengths[k] or section.length_words}))
            continue
        blocks = [b for n in own[k] for b in passages[n].blocks]
        worth = {b.span: float(worths[k, n]) if len(worths) else 0.0 for n in own[k] for b in passages[n].blocks}
        length = lengths[k] or section.length_words
        spans = choose_material(blocks, length or 1, worth)
        planned.append(section.model_copy(update={"material": spans, "length_words": length}))
    return given.model_copy(update={"sections": tuple(planned)})


def _query(section: OutlineSection) -> str:
    return fold_space(". ".join([section.heading, *section.points]).strip(". "))


def _worths(
    queries: Sequence[str], passages: Sequence[_Passage], sections: Sequence[SourceSection], embedder: Embedder
) -> Table:
    """(Q, P) worth of each passage for each query."""
    worths = np.zeros((len(queries), len(passages)))
    if not passages or not any(queries):
        return worths
    texts = [" ".join(block_text(b) for b in p.blocks)[:2_000] for p in passages]
    headings = [s.heading for s in sections]
    passage_words = build_lexicon(texts)
    section_words = build_lexicon(["\n".join([s.heading, *(block_text(b) for b in s.all_blocks)]) for s in sections])
    vectors = np.asarray(embedder.encode([*queries, *headings, *texts]), dtype=np.float64)
    asked, named, said = np.split(vectors, [len(queries), len(queries) + len(headings)])
    of_section = np.array([p.section for p in passages])
    for q, query in enumerate(queries):
        if not query:
            continue
        terms = subject_terms(query) or tuple(query.casefold().split())
        sense = _scaled(said @ asked[q])
        passage_worth = 0.5 * lexical_relevance(terms, passage_words) + 0.5 * sense
        section_worth = 0.5 * lexical_relevance(terms, section_words) + 0.5 * _scaled(named @ asked[q])
        same = np.array([float(_folded(h) == _folded(query.split(". ")[0]) and bool(h)) for h in headings])
        joined = SECTION_SHARE * section_worth[of_section] + (1 - SECTION_SHARE) * passage_worth
        worths[q] = joined + SAME_HEADING_BONUS * same[of_section]
    return worths


def _scaled(cosines: Table) -> Table:
    scaled: Table = np.clip((cosines - SENSE_FLOOR) / (SENSE_CEILING - SENSE_FLOOR), 0.0, 1.0)
    return scaled


def _folded(heading: str) -> str:
    return fold_space(heading).casefold().strip(" .:")


def _lengths(
    given: Sequence[OutlineSection], own: Sequence[Sequence[int]], found_words: Sequence[int], length_words: int
) -> list[int | None]:
    """The lengths that were given; the rest of the piece's words shared among the other sections."""
    rest = max(0, length_words - sum(s.length_words or 0 for s in given))
    open_sections = [
        k for k, section in enumerate(given) if section.length_words is None and own[k] and not section.material
    ]
    shares = allot(rest, [found_words[k] ** 0.5 for k in open_sections], [found_words[k] for k in open_sections])
    lengths: list[int | None] = [section.length_words for section in given]
    for k, share in zip(open_sections, shares, strict=True):
        lengths[k] = max(1, share)
    return lengths
