"""Allotment: how many words each section of a piece gets."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["allot", "most_sections", "section_count"]

WORDS_PER_SECTION = 170
MAX_SECTIONS = 12
# All of somewhat too many sections are kept rather than some left out, down to this length.
LEAST_WORDS_PER_SECTION = 120
# Beyond this length a piece may have more than twelve sections, each longer.
LONG_PIECE_WORDS = 3_000
LONG_SECTION_WORDS = 250
MAX_SECTIONS_OF_ANY = 100


def section_count(length_words: int) -> int:
    """How many sections fit a piece of that length."""
    if length_words > LONG_PIECE_WORDS:
        return min(MAX_SECTIONS_OF_ANY, max(MAX_SECTIONS, length_words // LONG_SECTION_WORDS))
    return max(1, min(MAX_SECTIONS, math.floor(length_words / WORDS_PER_SECTION + 0.5)))


def most_sections(length_words: int) -> int:
    """The number of sections up to which none needs to be left out of a piece of that length."""
    return max(section_count(length_words), min(MAX_SECTIONS, length_words // LEAST_WORDS_PER_SECTION))


def allot(total_words: int, weights: Sequence[float], most: Sequence[int]) -> list[int]:
    """Lengths in words that sum to `total_words` (or to the sum of `most`, when that is less), in proportion
    to `weights`, none above its `most`. Every section with any material gets at least one word."""
    n = len(weights)
    total = min(total_words, sum(most))
    shares = [0.0] * n
    open_sections = [k for k in range(n) if most[k] > 0]
    left = float(total)
    while open_sections and left > 1e-9:
        weight = sum(max(weights[k], 1e-6) for k in open_sections)
        full = [k for k in open_sections if shares[k] + left * max(weights[k], 1e-6) / weight >= most[k]]
        if not full:
            for k in open_sections:
                shares[k] += left * max(weights[k], 1e-6) / weight
            break
        for k in full:
            left -= most[k] - shares[k]
            shares[k] = float(most[k])
        open_sections = [k for k in open_sections if k not in set(full)]
    lengths = [min(most[k], max(1, math.floor(shares[k]))) if most[k] > 0 else 0 for k in range(n)]
    # What rounding left over goes to the largest remainders, the earlier first.
    order = sorted(range(n), key=lambda k: (-(shares[k] - math.floor(shares[k])), k))
    while sum(lengths) < total:
        for k in order:
            if sum(lengths) < total and lengths[k] < most[k]:
                lengths[k] += 1
    while sum(lengths) > total and max(lengths) > 1:
        lengths[max(range(n), key=lambda k: (lengths[k], -k))] -= 1
    return lengths
