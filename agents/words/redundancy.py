"""Redundancy: sentences that say again what another one says, by their words.

Two sentences are near-duplicates when they share most of their shingles (overlapping runs of index terms);
an inverted index over shingles keeps this linear for texts that do not repeat themselves.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from interleaf.text import terms

__all__ = ["DUPLICATE_SHARE", "near_duplicates", "shingles", "similarity"]

SHINGLE_TERMS = 2
# Share of the smaller sentence's shingles that the larger one holds.
DUPLICATE_SHARE = 0.72
# A sentence with fewer shingles ("See below.") counts only when it is the same throughout.
MIN_SHINGLES = 4
# The larger may be this many times as long; beyond, it says much more.
MAX_LENGTH_RATIO = 2.2
# A shingle that stands in more sentences than this says nothing about a pair.
MAX_POSTINGS = 64

Shingles = frozenset[tuple[str, ...]]


def shingles(text: str) -> Shingles:
    """Runs of two index terms; a text of one term gives that term."""
    found = terms(text)
    if len(found) < SHINGLE_TERMS:
        return frozenset({tuple(found)} if found else ())
    return frozenset(tuple(found[i : i + SHINGLE_TERMS]) for i in range(len(found) - SHINGLE_TERMS + 1))


def similarity(a: Shingles, b: Shingles) -> float:
    """Share of the smaller one's shingles that both have; 0 where one says much more than the other, or where
    they differ in a number: the tenth arch is not the eleventh."""
    if len(a) > len(b):
        a, b = b, a
    if not a:
        return 0.0
    if len(a) < MIN_SHINGLES or len(b) > len(a) * MAX_LENGTH_RATIO:
        return 1.0 if a == b else 0.0
    share = len(a & b) / len(a)
    if share == 0.0:
        return 0.0
    said, held = _numbers(a), _numbers(b)
    # Of two of the same size neither is the smaller one: the order in which they come must not matter.
    return share if said <= held or (len(a) == len(b) and held <= said) else 0.0


def _numbers(sentence: Shingles) -> frozenset[str]:
    return frozenset(term for shingle in sentence for term in shingle if any(map(str.isdigit, term)))


def near_duplicates(sentences: Sequence[Shingles], share: float = DUPLICATE_SHARE) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of sentences that are near-duplicates, in order. Of equal sentences the first stands
    for all: each of the others is paired with it and with nothing else."""
    postings: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    first: dict[Shingles, int] = {}
    pairs: list[tuple[int, int]] = []
    for j, mine in enumerate(sentences):
        if not mine:
            continue
        if mine in first:
            pairs.append((first[mine], j))
            continue
        first[mine] = j
        shared = Counter(i for shingle in mine for i in postings[shingle])
        for i, count in shared.items():
            # Cheap first: most pairs share a shingle or two and no more.
            enough = count >= share * min(len(mine), len(sentences[i]))
            if enough and similarity(mine, sentences[i]) >= share:
                pairs.append((i, j))
        for shingle in mine:
            if len(postings[shingle]) < MAX_POSTINGS:
                postings[shingle].append(j)
    return sorted(pairs)
