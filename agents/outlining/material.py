"""Material: which whole blocks a section may be drafted from, about three times what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents.notes.block import SourceBlock
from agents.notes.inline import plain_text
from interleaf.schema import SourceSpan
from interleaf.text import count_words

__all__ = ["bundles", "choose_material"]

# So many times the section's words are handed on, so that drafting can select.
MATERIAL_RATIO = 3.0
MIN_MATERIAL_WORDS = 120
# What stands first in a section introduces the rest.
OPENING_BONUS = 0.5
EARLY_BONUS = 0.3


def bundles(blocks: Sequence[SourceBlock]) -> list[tuple[int, ...]]:
    """Indices of blocks that only make sense together: a line that ends in a colon with what it announces,
    and code or a table with the paragraph before it."""
    found: list[tuple[int, ...]] = []
    for k, block in enumerate(blocks):
        before = blocks[k - 1] if k else None
        announced = before is not None and before.kind == "paragraph" and _announces(before.text)
        leans = before is not None and before.kind == "paragraph" and block.kind in ("code", "table")
        if found and (announced or leans):
            found[-1] = (*found[-1], k)
        else:
            found.append((k,))
    return found


def choose_material(
    blocks: Sequence[SourceBlock], length_words: int, worths: Mapping[SourceSpan, float]
) -> tuple[SourceSpan, ...]:
    """Spans of whole blocks in their given order: all of them while that is not much more than needed, else
    the most worthy (`worths`, 0..1 by span) and the earliest."""
    words = [count_words(b.text) for b in blocks]
    room = max(MIN_MATERIAL_WORDS, round(length_words * MATERIAL_RATIO))
    if sum(words) <= room:
        return tuple(b.span for b in blocks)
    groups = bundles(blocks)

    def value(number: int) -> float:
        group = groups[number]
        worth = max(worths.get(blocks[k].span, 0.0) for k in group)
        return worth + (OPENING_BONUS if number == 0 else 0.0) + EARLY_BONUS * (1 - number / len(groups))

    chosen: set[int] = set()
    taken = 0
    for number in sorted(range(len(groups)), key=lambda g: (-round(value(g), 9), g)):
        size = sum(words[k] for k in groups[number])
        # One passage may be longer than all that is needed; without any there would be nothing to say.
        if taken and taken + size > room:
            continue
        chosen |= set(groups[number])
        taken += size
    return tuple(blocks[k].span for k in sorted(chosen))


def _announces(text: str) -> bool:
    return plain_text(text[-200:]).endswith((":", "："))
