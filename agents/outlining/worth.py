"""Worth: how relevant the sections of the sources and their blocks are to an instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.context import Embedder
from agents.outlining.section import SourceSection
from agents.words.lexicon import build_lexicon
from agents.words.relevance import (
    SENSE_CEILING,
    SENSE_FLOOR,
    block_text,
    lexical_relevance,
    subject_of,
    subject_terms,
)
from interleaf.schema import SourceSpan

__all__ = ["Worth", "weigh_sections"]

Table = NDArray[np.float64]

LEXICAL_SHARE = 0.45
SENSE_SHARE = 0.40
HEADING_SHARE = 0.15
TITLE_SHARE = 0.2  # of the sense: what the source as a whole is called
# Sections below this share of the best one's worth, above the ground, are about something else.
RELEVANT_SHARE = 0.6
MEDIAN_SHARE = 0.5


@dataclass(frozen=True)
class Worth:
    """`of_sections` (N,) and `of_blocks` in 0..1; `is_relevant` (N,) which sections the instruction means.
    An instruction without a subject means all."""

    of_sections: Table
    of_blocks: dict[SourceSpan, float]
    is_relevant: NDArray[np.bool_]
    names_subject: bool


def weigh_sections(
    sections: Sequence[SourceSection], titles: Sequence[str], instruction: str, embedder: Embedder
) -> Worth:
    """Weigh sections by the subject's words (rare ones count most: what every section says tells nothing), by
    the sense of their best blocks, and by their headings. `titles` are those of the sources, by number."""
    subject = subject_of(instruction)
    texts = [[block_text(b) for b in s.all_blocks] for s in sections]
    headings = [". ".join([s.heading, *(c.heading for c in s.children)]).strip(". ") for s in sections]
    named = [titles[s.source] for s in sections]
    whole = build_lexicon(
        ["\n".join([title, heading, *own]) for title, heading, own in zip(named, headings, texts, strict=True)]
    )
    if not subject or not sections:
        return Worth(np.ones(len(sections)), _centrality(sections, texts), np.ones(len(sections), np.bool_), False)
    terms = subject_terms(instruction)
    lexical = lexical_relevance(terms, whole)
    flat = [text for own in texts for text in own]
    in_blocks = lexical_relevance(terms, build_lexicon(flat))
    in_headings = lexical_relevance(
        terms, build_lexicon([f"{title} {heading}" for title, heading in zip(named, headings, strict=True)])
    )
    vectors = np.asarray(embedder.encode([subject, *headings, *flat, *named]), dtype=np.float64)
    sense = np.clip((vectors[1:] @ vectors[0] - SENSE_FLOOR) / (SENSE_CEILING - SENSE_FLOOR), 0.0, 1.0)
    of_blocks: dict[SourceSpan, float] = {}
    worths = np.zeros(len(sections))
    at = 0
    for k, section in enumerate(sections):
        own_sense = sense[len(headings) + at : len(headings) + at + len(texts[k])]
        own_words = in_blocks[at : at + len(texts[k])]
        at += len(texts[k])
        best = np.sort(own_sense)[::-1][: max(1, len(own_sense) // 3)]
        meant = max(float(best.mean()), float(sense[k]))
        meant = (1 - TITLE_SHARE) * meant + TITLE_SHARE * float(sense[len(headings) + len(flat) + k])
        worths[k] = LEXICAL_SHARE * lexical[k] + SENSE_SHARE * meant + HEADING_SHARE * in_headings[k]
        for block, word_share, sense_share in zip(section.all_blocks, own_words, own_sense, strict=True):
            of_blocks[block.span] = float(0.5 * word_share + 0.5 * sense_share)
    # Sections of one subject all have something of it: half the usual worth counts as none.
    ground = MEDIAN_SHARE * float(np.median(worths))
    above = (worths - ground) / max(1e-9, float(worths.max()) - ground)
    # A subject that no source mentions at all tells nothing about what to leave out.
    is_relevant = above >= RELEVANT_SHARE if worths.max() > 0 else np.ones(len(sections), np.bool_)
    return Worth(worths, of_blocks, is_relevant, True)


def _centrality(sections: Sequence[SourceSection], texts: Sequence[Sequence[str]]) -> dict[SourceSpan, float]:
    """Without a subject, a block is worth as much as it says what its section says."""
    found: dict[SourceSpan, float] = {}
    for section, own in zip(sections, texts, strict=True):
        gram = build_lexicon(own).gram()
        central = gram.mean(axis=1)
        top = float(central.max(initial=0.0))
        for block, value in zip(section.all_blocks, central, strict=True):
            found[block.span] = float(value) / top if top > 0 else 0.0
    return found
