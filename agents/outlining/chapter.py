"""Chapter: a section of the piece to be: what one source says of a topic, or several sources together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agents.context import Embedder
from agents.notes.block import SourceBlock
from agents.outlining.gathering import Gathered
from agents.outlining.section import SourceSection
from agents.words.lexicon import build_lexicon, content_terms
from agents.words.relevance import block_text
from interleaf.schema import SourceSpan
from interleaf.text import count_words

__all__ = ["Chapter", "chapters_by_source", "merge_chapters"]

Table = NDArray[np.float64]

# Two headings say the same when they share this much of their words.
SAME_HEADING = 0.6
# Sections of different sources are about the same thing when both measures pass.
SAME_SENSE = 0.70
SAME_WORDS = 0.30


@dataclass(frozen=True)
class Chapter:
    """`sections` in reading order; `worth` in 0..1: how relevant it is to the instruction."""

    heading: str
    heading_span: SourceSpan | None
    sections: tuple[SourceSection, ...]
    worth: float = 1.0

    @property
    def blocks(self) -> tuple[SourceBlock, ...]:
        return tuple(b for section in self.sections for b in section.all_blocks)

    @property
    def words(self) -> int:
        """Words of its text and of its heading."""
        return sum(section.words for section in self.sections) + count_words(self.heading)


def merge_chapters(sections: Sequence[SourceSection], worths: Table, embedder: Embedder) -> list[Chapter]:
    """One chapter per topic. Sections of different sources join by their headings or by what they say; the
    order is that of the sources, and what a later source adds stands after what precedes it there."""
    alike = _alike(sections, embedder) if len({s.source for s in sections}) > 1 else None
    groups: list[list[int]] = []
    where: dict[int, list[int]] = {}
    for k, section in enumerate(sections):
        joined = _same_group(k, sections, groups, alike)
        if joined is None:
            joined = [k]
            before = where.get(k - 1) if k and sections[k - 1].source == section.source else None
            groups.insert(groups.index(before) + 1 if before is not None else len(groups), joined)
        else:
            joined.append(k)
        where[k] = joined
    return [
        Chapter(
            heading=next((sections[k].heading for k in group if sections[k].heading), ""),
            heading_span=next((sections[k].heading_span for k in group if sections[k].heading), None),
            sections=tuple(sections[k] for k in group),
            worth=float(max(worths[k] for k in group)),
        )
        for group in groups
    ]


def chapters_by_source(chapters: Sequence[Chapter], gathered: Gathered) -> list[Chapter] | None:
    """One chapter per source, under its title, with its chapters as parts; None where that does not fit:
    chapters that join several sources, or sources without titles of their own."""
    if any(len({s.source for s in c.sections}) > 1 for c in chapters):
        return None
    sources = list(dict.fromkeys(c.sections[0].source for c in chapters))
    titles = [gathered.title_of(source) for source in sources]
    if len(sources) < 2 or len({title.casefold() for title, _ in titles if title}) < len(sources):
        return None
    found = []
    for source, (title, span) in zip(sources, titles, strict=True):
        own = [c for c in chapters if c.sections[0].source == source]
        parts = [section for chapter in own for section in chapter.sections]
        opening = tuple(b for p in parts if p.heading in ("", title) for b in p.all_blocks)
        rest = tuple(replace(p, level=3) for p in parts if p.heading not in ("", title))
        whole = replace(parts[0], heading=title, heading_span=span, blocks=opening, children=rest)
        found.append(Chapter(title, span, (whole,), worth=max(c.worth for c in own)))
    return found


def _same_group(
    k: int, sections: Sequence[SourceSection], groups: list[list[int]], alike: tuple[Table, Table] | None
) -> list[int] | None:
    if alike is None:
        return None
    sense, words = alike
    best: list[int] | None = None
    best_score = 0.0
    for group in groups:
        if any(sections[j].source == sections[k].source for j in group):
            continue
        score = max(_heading_overlap(sections[j].heading, sections[k].heading) for j in group)
        score = score + 1 if score >= SAME_HEADING else 0.0
        closest = max(group, key=lambda j: float(sense[j, k]))
        if sense[closest, k] >= SAME_SENSE and words[closest, k] >= SAME_WORDS:
            score = max(score, float(sense[closest, k]))
        if score > best_score:
            best, best_score = group, score
    return best


def _heading_overlap(one: str, other: str) -> float:
    a, b = set(content_terms(one)), set(content_terms(other))
    return len(a & b) / len(a | b) if a and b else 0.0


def _alike(sections: Sequence[SourceSection], embedder: Embedder) -> tuple[Table, Table]:
    """(N, N) cosines of the sections' mean vectors, and of their words."""
    texts = [[block_text(b) for b in s.all_blocks] for s in sections]
    vectors = np.asarray(embedder.encode([t for own in texts for t in own]), dtype=np.float64)
    means = np.zeros((len(sections), vectors.shape[1]))
    at = 0
    for k, own in enumerate(texts):
        mean = vectors[at : at + len(own)].mean(axis=0)
        at += len(own)
        length = float(np.linalg.norm(mean))
        means[k] = mean / length if length > 0 else mean
    return means @ means.T, build_lexicon(["\n".join(own) for own in texts]).gram()
