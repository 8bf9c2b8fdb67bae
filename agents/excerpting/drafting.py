"""Drafting: one section put together from its sources' own sentences, each with its span.

    units of the section → without near-duplicates → worth of each → the best for the section's words → paragraphs

Nothing is said that a source does not say, and no sentence is changed beyond its white space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agents.context import DraftTask, Embedder
from agents.excerpting.knapsack import Item, choose_items
from agents.excerpting.paragraphs import section_blocks
from agents.excerpting.unit import Unit, outline_units
from agents.excerpting.valuing import lexical_relevance, unit_values
from agents.words.redundancy import near_duplicates
from interleaf.schema import TextBlock
from interleaf.text import count_words

__all__ = ["choose_units", "draft_section"]

# Of more material than this many times the section's words, the most relevant paragraphs are looked at.
MAX_MATERIAL_RATIO = 6
MIN_MATERIAL_WORDS = 400
# A list, table, quotation or code may take this share of its section.
MAX_WHOLE_SHARE = 0.6
# Worth that a run must make up for, beside half a point for each word: a paragraph is better shortened at
# its end than broken in its middle, where a sentence left out may have said what the next one is about.
MID_PARAGRAPH_COST = 18.0
PARAGRAPH_COST = 2.0
OTHER_BREAK_COST = 3.0
STOP_COST = 1.5
# Material of more sentences than this in earlier sections is not compared.
MAX_COMPARED_UNITS = 20_000


def draft_section(task: DraftTask, embedder: Embedder) -> tuple[TextBlock, ...]:
    """The section's blocks, its heading first when it has one; () when the sources hold nothing for it.

    Words are counted over all blocks; they come within a few per cent of `length_words` where the material
    allows. Without `length_words` everything is taken but what is said twice.
    """
    section = task.outline.sections[task.section_index]
    of_sections = outline_units(task.sources, task.outline, task.language)
    units = of_sections[task.section_index]
    if not units:
        return ()
    said_before = _said_before(of_sections, task.section_index)
    kept = _without_repeats(units, said_before)
    wanted = None
    if section.length_words is not None:
        wanted = max(1, section.length_words - count_words(section.heading))
    available = sum(unit.words for unit, usable in zip(units, kept, strict=True) if usable)
    if wanted is None or available <= wanted:
        chosen = [k for k, usable in enumerate(kept) if usable and _has_its_needs(units, kept, k)]
        is_all = True
    else:
        query = [section.heading, *section.points, task.brief.instruction]
        chosen = choose_units(units, kept, query, wanted, embedder, task.language)
        is_all = False
    return section_blocks(task, section, [units[k] for k in chosen], is_all=is_all)


def _said_before(of_sections: Sequence[Sequence[Unit]], index: int) -> list[Unit]:
    before = [unit for units in of_sections[:index] for unit in units]
    return before[-MAX_COMPARED_UNITS:]


def _without_repeats(units: Sequence[Unit], said_before: Sequence[Unit]) -> list[bool]:
    """Which units may be used: of near-duplicates the first, and none that an earlier section's material holds."""
    before = len(said_before)
    usable = [True] * len(units)
    for i, j in near_duplicates([unit.shingles for unit in (*said_before, *units)]):
        if j >= before and (i < before or usable[i - before]):
            usable[j - before] = False
    return usable if any(usable) else [True] * len(units)


def _has_its_needs(units: Sequence[Unit], usable: Sequence[bool], k: int) -> bool:
    """Whether what a unit leans on and what it introduces is there when everything usable is taken."""
    if units[k].is_orphan:
        return False
    if units[k].needs_next and not (k + 1 < len(units) and usable[k + 1]):
        return False
    while units[k].needs_previous and k > 0:
        k -= 1
        if not usable[k]:
            return False
    return True


def choose_units(
    units: Sequence[Unit],
    usable: Sequence[bool],
    query: Sequence[str],
    wanted: int,
    embedder: Embedder,
    language: str,
) -> list[int]:
    """Indices of the usable units that say most about `query` in about `wanted` words; none when none is usable."""
    if not any(usable):
        return []
    looked_at = _shortlist(units, usable, query, wanted)
    short = [units[k] for k in looked_at]
    values = unit_values(short, query, embedder, language)
    # A whole block may be most of a section only where there is not enough beside it.
    beside = sum(units[k].words for k in looked_at if usable[k] and units[k].words <= MAX_WHOLE_SHARE * wanted)
    largest = MAX_WHOLE_SHARE * wanted if beside >= wanted else wanted * (1 + MAX_WHOLE_SHARE)
    items: list[Item] = []
    for at, k in enumerate(looked_at):
        unit = units[k]
        follows = unit.follows and at > 0 and looked_at[at - 1] == k - 1
        same_paragraph = follows and units[k - 1].paragraph == unit.paragraph
        too_large = unit.is_whole and unit.words > largest
        items.append(
            Item(
                weight=unit.words,
                value=float(values[at]) * unit.words,
                follows=follows,
                start_cost=_start_cost(unit, units[k - 1] if k else None),
                stop_cost=STOP_COST if same_paragraph else 0.0,
                needs_previous=unit.needs_previous,
                needs_next=unit.needs_next,
                is_usable=usable[k] and not unit.is_orphan and not too_large,
            )
        )
    taken = choose_items(items, wanted)
    if not taken:
        # Nothing fits by the rules: the needs give way before the section stays empty.
        any_usable = any(usable[k] for k in looked_at)
        taken = choose_items(
            [
                replace(item, needs_previous=False, needs_next=False, is_usable=usable[k] or not any_usable)
                for item, k in zip(items, looked_at, strict=True)
            ],
            wanted,
        )
    return [looked_at[at] for at in taken]


def _start_cost(unit: Unit, before: Unit | None) -> float:
    """What it costs to begin with `unit` when `before`, the unit before it in the source, is left out."""
    if unit.place_in_paragraph > 0 and before is not None and not before.points_away:
        return MID_PARAGRAPH_COST
    return OTHER_BREAK_COST if unit.leans else PARAGRAPH_COST


def _shortlist(units: Sequence[Unit], usable: Sequence[bool], query: Sequence[str], wanted: int) -> list[int]:
    """All units, or the most relevant source paragraphs with their neighbours' needs when there are too many."""
    limit = max(MIN_MATERIAL_WORDS, MAX_MATERIAL_RATIO * wanted)
    if sum(unit.words for unit in units) <= limit:
        return list(range(len(units)))
    clusters: list[list[int]] = []
    for k, unit in enumerate(units):
        starts = not clusters or unit.paragraph != units[k - 1].paragraph
        if starts and not (clusters and (unit.needs_previous or units[k - 1].needs_next)):
            clusters.append([])
        clusters[-1].append(k)
    texts = [" ".join(units[k].text for k in cluster if usable[k]) for cluster in clusters]
    scores = lexical_relevance(texts, query)
    picked: list[int] = []
    words = 0
    for c in np.argsort(-scores, kind="stable"):
        size = sum(units[k].words for k in clusters[c])
        if picked and words + size > limit:
            continue
        picked += clusters[c]
        words += size
        if words > 0.9 * limit:
            break
    return sorted(picked)
