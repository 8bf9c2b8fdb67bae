"""Planning: an outline of the piece from the sources' structure, the instruction and the length.

    sources → sections (headings, or topics) → what the instruction means → chapters → lengths → material

Everything follows the sources' order and is the same for the same input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from agents.context import Embedder, OutlineTask
from agents.notes.block import SourceBlock
from agents.notes.inline import plain_text
from agents.outlining.allotment import allot, most_sections, section_count
from agents.outlining.chapter import Chapter, chapters_by_source, merge_chapters
from agents.outlining.gathering import Gathered, gather
from agents.outlining.matching import match_outline
from agents.outlining.material import choose_material
from agents.outlining.section import SourceSection, name_section
from agents.outlining.worth import Worth, weigh_sections
from agents.words.phrase import PhraseFinder, shortened
from agents.words.relevance import named_subject, relevance
from interleaf.errors import NothingToSay
from interleaf.schema import Outline, OutlineSection, SourceSpan
from interleaf.text import count_words

__all__ = ["DEFAULT_LENGTH_WORDS", "plan_outline"]

# A heading is a line, not a paragraph.
MAX_HEADING_CHARS = 200
DEFAULT_LENGTH_WORDS = 800
# When a person asks for more words than the relevant sections hold, others follow down to this share of the
# best one's worth.
FILLING_SHARE = 0.3
# Drafting needs some choice beyond the words asked for.
WANTED_MATERIAL_RATIO = 1.2
# What the least relevant section still gets of a relevant one's length.
LEAST_WEIGHT = 0.15
# A section of this length is divided, where its author divided it.
DIVIDED_SECTION_WORDS = 360
WORDS_PER_PART = 110
# A source's title names the piece when it has this much to do with the instruction.
FITTING_TITLE = 0.3
# … and when this share of the piece comes from it.
MAIN_SOURCE_SHARE = 0.65


def plan_outline(task: OutlineTask, embedder: Embedder) -> Outline:
    """The outline for a brief. `brief.outline` is respected: its headings, order and lengths stay.

    Lengths of sections, headings included, sum to `brief.length_words` (800 when it is not given), or to what
    the sources hold, when that is less. NothingToSay when the sources hold no usable text.
    """
    brief = task.brief
    gathered = gather(task.sources, brief.instruction, task.language, embedder)
    if not gathered.sections:
        raise NothingToSay(
            "sources",
            "the notes hold no text that could be used (only headings, pictures, links or references).",
            "Give notes with sentences.",
        )
    wanted = brief.length_words or DEFAULT_LENGTH_WORDS
    if brief.outline is not None and brief.outline.sections:
        outline = match_outline(brief.outline, gathered.sections, wanted, brief.instruction, embedder)
        title = brief.title or outline.title or _title(task, gathered, _chapters_of(gathered.sections), embedder)
        return outline.model_copy(update={"title": shortened(title, MAX_HEADING_CHARS)})
    titles = [gathered.title_of(source)[0] for source in range(len(gathered.documents))]
    worth = weigh_sections(gathered.sections, titles, brief.instruction, embedder)
    chapters = _meant(gathered.sections, worth, brief.length_words, embedder)
    chapters = _fitting_number(chapters, gathered, wanted)
    title = brief.title or (brief.outline.title if brief.outline else "")
    title = title or _title(task, gathered, chapters, embedder)
    chapters = _headed(chapters, title, task.language)
    best = max(c.worth for c in chapters) or 1.0
    weights = [(LEAST_WEIGHT + c.worth / best) * c.words**0.5 for c in chapters]
    lengths = allot(wanted, weights, [c.words for c in chapters])
    sections = [
        part for chapter, length in zip(chapters, lengths, strict=True) for part in _sections(chapter, length, worth)
    ]
    return Outline(title=shortened(title, MAX_HEADING_CHARS), sections=tuple(sections))


def _chapters_of(sections: Sequence[SourceSection]) -> list[Chapter]:
    return [Chapter(s.heading, s.heading_span, (s,)) for s in sections]


def _meant(
    sections: Sequence[SourceSection], worth: Worth, length_words: int | None, embedder: Embedder
) -> list[Chapter]:
    """Chapters of the sections that the instruction means, filled up with the next best where a person asked
    for more words than they hold."""
    kept = [k for k in range(len(sections)) if worth.is_relevant[k]]
    if worth.names_subject and length_words is not None:
        best = float(worth.of_sections.max())
        others = sorted(
            (k for k in range(len(sections)) if k not in set(kept)),
            key=lambda k: (-round(float(worth.of_sections[k]), 9), k),
        )
        held = sum(sections[k].words for k in kept)
        for k in others:
            if held >= length_words * WANTED_MATERIAL_RATIO or worth.of_sections[k] < FILLING_SHARE * best:
                break
            kept.append(k)
            held += sections[k].words
    kept.sort()
    return merge_chapters([sections[k] for k in kept], worth.of_sections[kept], embedder)


def _fitting_number(chapters: list[Chapter], gathered: Gathered, length_words: int) -> list[Chapter]:
    """As many chapters as fit the length: one per source where there are too many and sources have titles; of
    those, when they are still too many, the ones with most to say about what was asked."""
    if len(chapters) > most_sections(length_words):
        chapters = chapters_by_source(chapters, gathered) or chapters
    if len(chapters) <= most_sections(length_words):
        return chapters
    enough = 3 * DIVIDED_SECTION_WORDS
    order = sorted(
        range(len(chapters)),
        key=lambda k: (-round(chapters[k].worth * min(chapters[k].words, enough) ** 0.5, 9), k),
    )
    return [chapters[k] for k in sorted(order[: section_count(length_words)])]


def _headed(chapters: list[Chapter], title: str, language: str) -> list[Chapter]:
    """Every chapter but an opening has a heading, and no two the same."""
    texts = [b.text for c in chapters for b in c.blocks if b.kind != "code"]
    finder = PhraseFinder(texts, language)
    used = [title]
    found: list[Chapter] = []
    for k, chapter in enumerate(chapters):
        same_as_title = chapter.heading.casefold() == title.casefold()
        if k == 0 and (same_as_title or not chapter.heading):
            found.append(replace(chapter, heading="", heading_span=None))
            continue
        if not chapter.heading or same_as_title or any(c.heading == chapter.heading for c in found):
            heading, span = name_section(finder, chapter.blocks, used)
            chapter = replace(chapter, heading=heading, heading_span=span)
        used.append(chapter.heading)
        found.append(chapter)
    return found


def _sections(chapter: Chapter, length: int, worth: Worth) -> list[OutlineSection]:
    """A chapter as sections of the outline: one, or, when long and divided by its author, one with parts."""
    only = chapter.sections[0] if len(chapter.sections) == 1 else None
    if only is None or length < DIVIDED_SECTION_WORDS or not only.blocks or len(only.children) < 2:
        return [_planned(chapter.heading, chapter.heading_span, 2, chapter.blocks, length, worth.of_blocks)]
    most = max(2, length // WORDS_PER_PART) - 1
    order = sorted(range(len(only.children)), key=lambda k: (-round(_best(only.children[k], worth), 9), k))
    parts = [only.children[k] for k in sorted(order[:most])]
    words = [sum(count_words(b.text) for b in only.blocks) + count_words(chapter.heading)]
    words += [part.words + count_words(part.heading) for part in parts]
    lengths = allot(length, [w**0.5 for w in words], words)
    found = [_planned(chapter.heading, chapter.heading_span, 2, only.blocks, lengths[0], worth.of_blocks)]
    for part, share in zip(parts, lengths[1:], strict=True):
        found.append(_planned(part.heading, part.heading_span, 3, part.all_blocks, share, worth.of_blocks))
    # What the parts left over could not hold goes nowhere else than into the whole chapter's text.
    return (
        found
        if sum(lengths) == length
        else [_planned(chapter.heading, chapter.heading_span, 2, chapter.blocks, length, worth.of_blocks)]
    )


def _best(section: SourceSection, worth: Worth) -> float:
    return max((worth.of_blocks.get(b.span, 0.0) for b in section.all_blocks), default=0.0)


def _planned(
    heading: str,
    span: SourceSpan | None,
    level: int,
    blocks: Sequence[SourceBlock],
    length: int,
    worths: dict[SourceSpan, float],
) -> OutlineSection:
    material = choose_material(blocks, length, worths)
    return OutlineSection(
        heading=shortened(heading, MAX_HEADING_CHARS),
        heading_span=span,
        level=level,
        length_words=max(1, length),
        material=material,
    )


def _title(task: OutlineTask, gathered: Gathered, chapters: Sequence[Chapter], embedder: Embedder) -> str:
    """The title of the source that most of the piece comes from, when it has to do with the instruction; else
    what the instruction calls its subject; else a phrase that all parts of the text share."""
    words: Counter[int] = Counter()
    for section in (s for c in chapters for s in c.sections):
        words[section.source] += section.words
    source, most = min(words.items(), key=lambda item: (-item[1], item[0]))
    title = gathered.title_of(source)[0]
    asked = named_subject(task.brief.instruction)
    is_main = len(words) == 1 or most >= MAIN_SOURCE_SHARE * words.total()
    fit = float(relevance(task.brief.instruction, [title], embedder)[0]) if title and is_main and asked else 1.0
    if title and is_main and fit >= FITTING_TITLE:
        return title
    if asked:
        return asked
    texts = [" ".join(plain_text(b.text) for b in c.blocks if b.kind != "code") for c in chapters]
    return PhraseFinder(texts, task.language).find_common(texts).text or title
