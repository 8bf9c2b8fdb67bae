"""Paragraphs: chosen units set as the blocks of a section, with supports, sub-headings and stable ids."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agents.context import DraftTask
from agents.excerpting.unit import Unit
from agents.notes.document import SourceBlock, to_block
from agents.words.coreference import leans_back
from interleaf.schema import Heading, OutlineSection, Paragraph, Provenance, SourceSpan, Support, TextBlock
from interleaf.text import fold_space, is_cjk

__all__ = ["joined", "section_blocks"]

# Pleasant paragraphs, in words: (joined with the next below, never joined beyond, split beyond).
ALPHABETIC_WORDS = (55, 140, 190)
# The same in characters of Chinese and Japanese.
IDEOGRAPHIC_WORDS = (80, 250, 340)
# When everything is taken, paragraphs stay as their author set them, but for scraps.
SCRAP_SHARE = 0.3
# A sub-heading of a source stands over at least this many words.
MIN_WORDS_UNDER_HEADING = 40
ID_HEX_DIGITS = 12
_ENDED = re.compile(r"[.!?…。！？।؟｡][\s\"'”’»›)\]）」』】》*_~]*$")


@dataclass
class _Run:
    """Units that become one paragraph, or one unit that survives whole."""

    units: list[Unit] = field(default_factory=list)

    @property
    def words(self) -> int:
        return sum(unit.words for unit in self.units)

    @property
    def is_whole(self) -> bool:
        return self.units[0].is_whole


def section_blocks(
    task: DraftTask, section: OutlineSection, units: Sequence[Unit], *, is_all: bool
) -> tuple[TextBlock, ...]:
    """The blocks of the chosen units in their order; () without units, so that no heading stands alone."""
    if not units:
        return ()
    maker = _Maker(task.section_index)
    blocks: list[TextBlock] = []
    if section.heading:
        blocks.append(maker.section_heading(task, section))
    under: SourceBlock | None = None
    for run in _split(_merge(_by_paragraph(units), is_all=is_all), task.language):
        first = run.units[0]
        if is_all and first.under is not under:
            under = first.under
            if under is not None and _words_under(units, under) >= MIN_WORDS_UNDER_HEADING:
                blocks.append(maker.sub_heading(under, section.level))
        if first.heading is not None and not _stands_over(blocks, first.heading):
            blocks.append(maker.sub_heading(first.heading, section.level))
        blocks.append(maker.whole(first) if run.is_whole else maker.paragraph(run.units))
    return tuple(blocks)


def _words_under(units: Sequence[Unit], heading: SourceBlock) -> int:
    return sum(unit.words for unit in units if unit.under is heading)


def _stands_over(blocks: Sequence[TextBlock], heading: SourceBlock) -> bool:
    """Whether the heading has just been set."""
    return bool(blocks) and blocks[-1].type == "heading" and blocks[-1].text == fold_space(heading.text)


def _by_paragraph(units: Sequence[Unit]) -> list[_Run]:
    runs: list[_Run] = []
    last: Unit | None = None
    for unit in units:
        if last is None or unit.is_whole or last.is_whole or last.paragraph != unit.paragraph:
            runs.append(_Run())
        runs[-1].units.append(unit)
        last = unit
    return runs


def _merge(runs: Sequence[_Run], *, is_all: bool) -> list[_Run]:
    """Short neighbours of one source, under one sub-heading, become one paragraph."""
    merged: list[_Run] = []
    for run in runs:
        if merged and _may_join(merged[-1], run, is_all=is_all):
            merged[-1] = _Run([*merged[-1].units, *run.units])
        else:
            merged.append(run)
    return merged


def _may_join(one: _Run, other: _Run, *, is_all: bool) -> bool:
    if one.is_whole or other.is_whole or one.units[-1].needs_next or other.units[-1].needs_next:
        # What introduces a list stands by itself above it.
        return False
    last, first = one.units[-1], other.units[0]
    if not _ENDED.search(last.text):
        # A label, a line of verse: it ends with its line.
        return False
    if last.block.span.source_id != first.block.span.source_id or last.under is not first.under:
        return False
    low, high, _ = _sizes(last.text)
    if is_all:
        low = round(low * SCRAP_SHARE)
    return (one.words < low or other.words < low) and one.words + other.words <= high


def _split(runs: Sequence[_Run], language: str) -> Iterator[_Run]:
    """Very long paragraphs are cut near their middle, before a sentence that stands by itself."""
    for run in runs:
        _, _, most = _sizes(run.units[0].text)
        if run.is_whole or run.words <= most or len(run.units) < 4:
            yield run
            continue
        half = run.words / 2
        best, gap = 0, float("inf")
        done = 0
        for k, unit in enumerate(run.units):
            if k >= 2 and k <= len(run.units) - 2 and not unit.needs_previous and not leans_back(unit.text, language):
                distance = abs(done - half)
                if distance < gap:
                    best, gap = k, distance
            done += unit.words
        if best == 0 or gap > half * 0.7:
            yield run
            continue
        yield from _split([_Run(run.units[:best]), _Run(run.units[best:])], language)


def _sizes(text: str) -> tuple[int, int, int]:
    return IDEOGRAPHIC_WORDS if is_cjk(text) else ALPHABETIC_WORDS


class _Maker:
    """Makes blocks with ids that depend on the section, the order, the kind and the words, on nothing else."""

    def __init__(self, section_index: int) -> None:
        self._section = section_index
        self._ordinal = 0

    def _id(self, kind: str, text: str) -> str:
        key = f"{self._section}\0{self._ordinal}\0{kind}\0{text}"
        self._ordinal += 1
        return "b-" + hashlib.sha256(key.encode()).hexdigest()[:ID_HEX_DIGITS]

    def section_heading(self, task: DraftTask, section: OutlineSection) -> Heading:
        text = section.heading
        if section.heading_span is not None:
            provenance = _heading_provenance(task, text, section.heading_span)
        else:
            asked = task.brief.outline.sections if task.brief.outline is not None else ()
            is_person = any(one.heading == text for one in asked)
            provenance = Provenance(origin="person" if is_person else "workflow")
        return Heading(id=self._id("heading", text), provenance=provenance, level=section.level, text=text)

    def sub_heading(self, block: SourceBlock, above: int) -> Heading:
        text = fold_space(block.text)
        support = Support(start=0, end=len(text), spans=block.spans(), how="copied")
        return Heading(
            id=self._id("heading", text),
            provenance=Provenance(origin="source", supports=(support,)),
            markup="markdown",
            level=min(6, above + 1),
            text=text,
        )

    def whole(self, unit: Unit) -> TextBlock:
        block_id = self._id(unit.block.kind, unit.block.text)
        return to_block(unit.block, block_id, "markdown" if unit.is_markdown else "plain")

    def paragraph(self, units: Sequence[Unit]) -> Paragraph:
        text, supports = joined(units)
        return Paragraph(
            id=self._id("paragraph", text),
            provenance=Provenance(origin="source", supports=supports),
            markup="markdown" if units[0].is_markdown else "plain",
            text=text,
        )


def joined(units: Sequence[Unit]) -> tuple[str, tuple[Support, ...]]:
    """Sentences set as one paragraph, and where each has been copied from."""
    text = ""
    supports: list[Support] = []
    last: Unit | None = None
    last_end = 0
    for unit in units:
        for start, end in unit.parts:
            said = fold_space(unit.block.text[start:end])
            if text:
                near = last is not None and last.block is unit.block and unit.block.text[last_end:start].strip() == ""
                text += _joint(text, said, unit.block.text[last_end:start] if near else None)
            at = len(text)
            text += said
            supports.append(Support(start=at, end=len(text), spans=unit.block.spans(start, end), how="copied"))
            last, last_end = unit, end
    return text, tuple(supports)


def _heading_provenance(task: DraftTask, text: str, span: SourceSpan) -> Provenance:
    source = next((source for source in task.sources if source.id == span.source_id), None)
    if source is None:
        return Provenance(origin="workflow")
    same = fold_space(source.text[span.start : span.end]) == text
    support = Support(start=0, end=len(text), spans=(span,), how="copied" if same else "adapted")
    return Provenance(origin="source", supports=(support,))


def _joint(before: str, after: str, gap: str | None) -> str:
    """What stands between two sentences; `gap` is what stood between them in the source, when in one block."""
    if gap == "":
        return ""
    return "" if _is_wide(before[-1]) or (gap is None and _is_wide(after[0])) else " "


def _is_wide(char: str) -> bool:
    """Chinese and Japanese letters and their full-width marks, after which no space is written."""
    return "\u3000" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uff00" <= char <= "\uffef"
