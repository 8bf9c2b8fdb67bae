"""Length: how many words each section gets so that the whole piece has the length that was asked for."""

from __future__ import annotations

from collections.abc import Mapping

from interleaf.schema import Outline

__all__ = ["fit_lengths"]

# A section this much below its budget has told all that its sources hold.
EXHAUSTED_SHARE = 0.93
# A section this much above its budget is held up by what cannot be cut: a list, a table.
STIFF_SHARE = 1.07
# A section is sent back only for a change that a reader could notice.
MIN_CHANGE_WORDS = 3
MIN_SECTION_WORDS = 12


def fit_lengths(outline: Outline, words: Mapping[int, int], wanted: int) -> tuple[Outline, tuple[int, ...]]:
    """The outline with new `length_words`, and the indices of the sections to draft again.

    `words` has each drafted section's words by its index; `wanted` is the length of the whole piece. What is
    too much or missing is shared out over the sections that can still give it, by their length; a section
    that fell short of its budget has no more to say, and one far above it cannot be cut. Nothing to draft
    again when no section can change.
    """
    if wanted <= 0:
        raise ValueError(f"wanted is {wanted}; a piece has at least one word")
    order = [i for i in sorted(words) if 0 <= i < len(outline.sections)]
    missing = wanted - sum(words[i] for i in order)
    budgets = {i: outline.sections[i].length_words for i in order}
    if missing > 0:
        # Without a budget the section has already said everything.
        open_ = [i for i in order if (b := budgets[i]) is not None and words[i] >= EXHAUSTED_SHARE * b]
    else:
        large = [i for i in order if words[i] > MIN_SECTION_WORDS]
        open_ = [i for i in large if (b := budgets[i]) is None or words[i] <= STIFF_SHARE * b] or large
    targets = _shared_out(words, open_, missing)
    again = tuple(
        i
        for i in open_
        if abs(targets[i] - words[i]) >= min(MIN_CHANGE_WORDS, abs(missing)) and targets[i] != budgets[i]
    )
    if not again:
        return outline, ()
    sections = list(outline.sections)
    for i in again:
        sections[i] = sections[i].model_copy(update={"length_words": targets[i]})
    return outline.model_copy(update={"sections": tuple(sections)}), again


def _shared_out(words: Mapping[int, int], open_: list[int], missing: int) -> dict[int, int]:
    """Targets of the open sections that add up to what they have plus `missing`, in proportion to their words;
    none falls below the least length of a section."""
    total = sum(words[i] for i in open_)
    targets: dict[int, int] = {}
    left, left_total = missing, total
    for i in open_:
        part = round(left * words[i] / left_total) if left_total else 0
        targets[i] = max(MIN_SECTION_WORDS, words[i] + part)
        left -= part
        left_total -= words[i]
    return targets
