"""Unit: the smallest thing that a draft takes or leaves: a sentence, or a block that survives whole.

Units of a section stand in reading order and know what they lean on: a pronoun needs the sentence before,
a sentence that ends with a colon needs what it introduces, and the reverse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from agents.notes.document import SourceBlock, SourceDocument, read_document
from agents.notes.sentence import split_sentences
from agents.words.coreference import introduces_next, leans_back, points_at_figure, points_elsewhere
from agents.words.redundancy import Shingles, shingles
from interleaf.schema import Outline, SourceSpan, SourceText
from interleaf.text import count_words, fold_space

__all__ = ["Unit", "forget_notes", "outline_units"]

# Sentences within an open quotation or bracket stay together, up to this many characters.
MAX_JOINED_CHARS = 900

_PAIRS = {"“": "”", "«": "»", "「": "」", "『": "』", "(": ")", "（": "）", "[": "]", "【": "】"}
_OPENERS_GERMAN = {"„": "“", "»": "«", "‚": "‘"}


@dataclass(frozen=True)
class Unit:
    """`parts` are (start, end) in `block.text`, one for each sentence; empty for a block that survives whole.

    `paragraph` numbers the source blocks of the section. `follows`: nothing but white space or a picture
    stands between this unit and the one before it. `heading` goes with a whole block that has no other
    introduction; `under` is the sub-heading it stands under, if any.
    """

    block: SourceBlock
    is_markdown: bool
    parts: tuple[tuple[int, int], ...]
    text: str
    words: int
    paragraph: int
    place_in_paragraph: int
    follows: bool
    needs_previous: bool = False
    needs_next: bool = False
    leans: bool = False
    is_orphan: bool = False
    heading: SourceBlock | None = None
    under: SourceBlock | None = None
    points_at_figure: bool = False
    points_elsewhere: bool = False
    near_picture: bool = False
    is_closed: bool = True

    @property
    def is_whole(self) -> bool:
        return not self.parts

    @property
    def points_away(self) -> bool:
        """Whether it points at something that the new piece is not going to have."""
        return self.points_elsewhere or (self.points_at_figure and not self.near_picture)

    @cached_property
    def shingles(self) -> Shingles:
        return shingles(self.text)


def outline_units(sources: Sequence[SourceText], outline: Outline, language: str) -> tuple[tuple[Unit, ...], ...]:
    """The units of every section, from the outline alone, so that sections drafted side by side agree.

    A source block that several sections claim goes to the one with the least text so far.
    """
    plan = tuple((section.material, section.heading_span) for section in outline.sections)
    return _outline_units(tuple(sources), plan, language.split("-")[0].lower())


@lru_cache(maxsize=4)
def _outline_units(
    sources: tuple[SourceText, ...],
    plan: tuple[tuple[tuple[SourceSpan, ...], SourceSpan | None], ...],
    language: str,
) -> tuple[tuple[Unit, ...], ...]:
    by_id = {source.id: source for source in sources}
    claimed: list[list[_Claim]] = []
    for material, _ in plan:
        claims: list[_Claim] = []
        seen: set[tuple[str, int]] = set()
        for span in material:
            if span.source_id not in by_id:
                continue
            document = _document(by_id[span.source_id])
            for block in document.blocks_in(span):
                key = (span.source_id, block.span.start)
                if key not in seen:
                    seen.add(key)
                    claims.append(_Claim(document, block, span))
        claimed.append(claims)
    owned = _settle(claimed)
    return tuple(
        tuple(_section_units(claims, heading, language)) for claims, (_, heading) in zip(owned, plan, strict=True)
    )


@lru_cache(maxsize=64)
def _document(source: SourceText) -> SourceDocument:
    return read_document(source)


def forget_notes() -> None:
    """Lets go of what was read of the last few outlines' sources."""
    _outline_units.cache_clear()
    _document.cache_clear()


@dataclass(frozen=True)
class _Claim:
    document: SourceDocument
    block: SourceBlock
    span: SourceSpan

    @property
    def key(self) -> tuple[str, int]:
        return self.span.source_id, self.block.span.start


def _settle(claimed: list[list[_Claim]]) -> list[list[_Claim]]:
    """Every source block in one section only."""
    claimants: dict[tuple[str, int], list[int]] = {}
    for section, claims in enumerate(claimed):
        for claim in claims:
            claimants.setdefault(claim.key, []).append(section)
    if all(len(sections) == 1 for sections in claimants.values()):
        return claimed
    sizes = [0] * len(claimed)
    for section, claims in enumerate(claimed):
        sizes[section] = sum(len(c.block.text) for c in claims if len(claimants[c.key]) == 1)
    owner: dict[tuple[str, int], int] = {}
    for claims in claimed:
        for claim in claims:
            if claim.key not in owner:
                best = min(claimants[claim.key], key=lambda s: (sizes[s], s))
                owner[claim.key] = best
                sizes[best] += len(claim.block.text) if len(claimants[claim.key]) > 1 else 0
    return [[c for c in claims if owner[c.key] == section] for section, claims in enumerate(claimed)]


def _section_units(claims: Sequence[_Claim], heading: SourceSpan | None, language: str) -> list[Unit]:
    """Units of one section in the order of its material."""
    units: list[Unit] = []
    numbers: dict[str, dict[int, int]] = {}
    last: tuple[str, int] | None = None
    under: SourceBlock | None = None
    fresh: SourceBlock | None = None  # the sub-heading right above
    for number, claim in enumerate(claims):
        document, block, source_id = claim.document, claim.block, claim.span.source_id
        here = numbers.setdefault(source_id, {b.span.start: i for i, b in enumerate(document.blocks)})[block.span.start]
        connected = last == (source_id, here - 1)
        last = (source_id, here)
        if block.kind == "image":
            last = last if connected else None
            if connected and units:
                units[-1] = _before_other(units[-1])
            continue
        if block.kind == "heading":
            is_own = heading is not None and heading.source_id == source_id and _overlap(heading, block.span)
            under = fresh = None if is_own else block
            last = None
            continue
        near_picture = _near_picture(document, here)
        if block.kind == "paragraph":
            found = list(_sentences(claim, number, language, near_picture))
        else:
            found = [_whole(claim, number, near_picture, fresh)]
        for k, unit in enumerate(found):
            follows = k > 0 or (connected and bool(units))
            if units and not follows:
                units[-1] = _before_other(units[-1])
            introduced = follows and _introduces(units[-1], unit)
            if introduced:
                units[-1] = replace(units[-1], needs_next=True, is_orphan=False)
            by_text = unit.is_whole and unit.block.kind != "quote"
            units.append(
                replace(
                    unit,
                    follows=follows,
                    needs_previous=follows and (introduced or by_text or unit.leans),
                    under=under,
                )
            )
        fresh = None
    if units:
        units[-1] = _before_other(units[-1])
    return units


def _introduces(unit: Unit, after: Unit) -> bool:
    return not unit.is_whole and introduces_next(unit.text, before_whole=after.is_whole)


def _before_other(unit: Unit) -> Unit:
    """The last unit before a heading, a picture or another place: what it would introduce is not there."""
    if unit.is_whole or not introduces_next(unit.text, before_whole=True):
        return unit
    return replace(unit, is_orphan=True)


def _overlap(a: SourceSpan, b: SourceSpan) -> bool:
    return a.start < b.end and b.start < a.end


def _near_picture(document: SourceDocument, index: int) -> bool:
    low, high = max(0, index - 2), index + 3
    return any(b.kind == "image" or b.images for b in document.blocks[low:high])


def _whole(claim: _Claim, number: int, near_picture: bool, heading: SourceBlock | None) -> Unit:
    """A block that survives whole; `heading` stands right above it and is its only introduction."""
    block = claim.block
    return Unit(
        block=block,
        is_markdown=claim.document.source.media_type == "text/markdown",
        parts=(),
        text=block.text,
        words=count_words(block.text) + (count_words(heading.text) if heading is not None else 0),
        paragraph=number,
        place_in_paragraph=0,
        follows=False,
        heading=heading,
        near_picture=near_picture,
    )


def _sentences(claim: _Claim, number: int, language: str, near_picture: bool) -> Iterator[Unit]:
    block, span = claim.block, claim.span
    text = block.text
    place = 0
    is_part = span.start > block.span.start or span.end < block.span.end
    for parts in _joined(text, split_sentences(text, language)):
        start, end = parts[0][0], parts[-1][1]
        if is_part and not _within(block, start, end, span):
            continue
        said = fold_space(text[start:end])
        yield Unit(
            block=block,
            is_markdown=claim.document.source.media_type == "text/markdown",
            parts=parts,
            text=said,
            words=count_words(said),
            paragraph=number,
            place_in_paragraph=place,
            follows=False,
            leans=leans_back(said, language),
            points_at_figure=points_at_figure(said),
            points_elsewhere=points_elsewhere(said),
            near_picture=near_picture,
            is_closed=_is_closed(said),
        )
        place += 1


def _within(block: SourceBlock, start: int, end: int, span: SourceSpan) -> bool:
    spans = block.spans(start, end)
    return bool(spans) and spans[0].start >= span.start and spans[-1].end <= span.end


def _joined(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], ...]]:
    """Sentences of a paragraph, those within one open quotation, bracket or emphasis together."""
    held: list[tuple[int, int]] = []
    for k, span in enumerate(spans):
        held.append(span)
        whole = text[held[0][0] : span[1]]
        if k + 1 < len(spans) and len(whole) < MAX_JOINED_CHARS and not _is_closed(whole):
            continue
        if not _is_closed(whole) and len(held) > 1:
            # It never closed: the mark was a slip, and each sentence stands for itself.
            yield from ((one,) for one in held)
        else:
            yield tuple(held)
        held = []


def _is_closed(text: str) -> bool:
    """Whether every quotation, bracket and emphasis that opens in `text` also closes there."""
    if text.count("**") % 2 or text.count("`") % 2 or text.count('"') % 2:
        return False
    german = "„" in text or "‚" in text
    pairs = _OPENERS_GERMAN if german else _PAIRS
    return all(text.count(opener) <= text.count(closer) for opener, closer in pairs.items() if opener in text)
