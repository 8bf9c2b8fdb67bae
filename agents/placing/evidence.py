"""Evidence: what speaks for each picture at each slot, as named numbers that a ranker weighs.

Letters: K pictures, B blocks, S = B + 1 slots (slot s stands after s blocks), F features.
A slot is described by the block before it, the block after it, the heading above and its section,
never by one block alone: authors put a picture after what speaks of it, before what goes on about it,
under a heading, at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.placing.cue import Cue, ends_with_colon, figure_mentions, find_cue, step_number
from agents.words.similarity import block_text
from interleaf.schema import TextBlock
from interleaf.text import count_words

__all__ = ["FEATURES", "HABITS", "SlotView", "evidence", "habits", "slot_view"]

Table = NDArray[np.float64]

SHORT_WORDS = 12
EPS = 1e-9

# What speaks for one picture at one slot, (K, S) each.
FEATURES = (
    "before_strong",  # cube of the similarity with the block before as a share of the picture's best block
    "before_lead",  # how far the block before leads all other blocks
    "before_mutual",  # the block before is also nearest to this picture among all pictures
    "before_second",  # the same similarity one block further up
    "after_second",  # and with the second block after
    "under_heading",  # similarity with a heading that stands right before
    "section",  # mean similarity of the section that the slot is in
)
# What speaks for a slot whatever the picture, (S,) each.
HABITS = (
    "cue_before",
    "cue_after",
    "colon",
    "colon_list",
    "top",
    "end",
    "heading_before",
    "heading_after",
    "list_before",
    "list_after",
    "between_lists",
    "code_before",
    "code_after",
    "short_before",
    "words_before",
    "last_section",
)


@dataclass(frozen=True)
class SlotView:
    """What surrounds each slot of a piece; computed once for all pictures."""

    before: NDArray[np.int64]  # (S,) index of the block before, -1 at the start
    after: NDArray[np.int64]  # (S,) index of the block after, -1 at the end
    heading: NDArray[np.int64]  # (S,) index of the nearest heading at or above the slot, -1 without
    section: NDArray[np.int64]  # (B,) number of the section that a block belongs to
    words: NDArray[np.int64]  # (B,) words of a block
    kind: tuple[str, ...]  # (B,) type of a block
    cue: tuple[Cue | None, ...]  # (B,) pointing phrase of a block
    colon: NDArray[np.bool_]  # (B,) whether it ends with a colon
    figures: tuple[tuple[str, ...], ...]  # (B,) figure numbers that a block names
    step: tuple[int | None, ...]  # (B,) step number of a block


def slot_view(blocks: Sequence[TextBlock]) -> SlotView:
    """Describe the slots 0..len(blocks)."""
    n = len(blocks)
    texts = [block_text(b) for b in blocks]
    before = np.arange(-1, n, dtype=np.int64)
    after = np.array([*range(n), -1], dtype=np.int64)
    heading = np.full(n + 1, -1, dtype=np.int64)
    section = np.zeros(n, dtype=np.int64)
    last, number = -1, 0
    for i, block in enumerate(blocks):
        if block.type == "heading":
            last, number = i, number + 1
        section[i] = number
        heading[i + 1] = last
    cues = tuple(None if b.type in ("heading", "code") else find_cue(t) for b, t in zip(blocks, texts, strict=True))
    return SlotView(
        before=before,
        after=after,
        heading=heading,
        section=section,
        words=np.array([count_words(t) for t in texts], dtype=np.int64),
        kind=tuple(b.type for b in blocks),
        cue=cues,
        colon=np.array([ends_with_colon(t) for t in texts], dtype=np.bool_),
        figures=tuple(figure_mentions(t) for t in texts),
        step=tuple(step_number(t) for t in texts),
    )


def evidence(fit: Table, view: SlotView) -> Table:
    """(K, S, F) of `FEATURES` from the fused similarity `fit` (K, B)."""
    n_pictures, n_blocks = fit.shape
    n_slots = n_blocks + 1
    if n_blocks == 0 or n_pictures == 0:
        return np.zeros((n_pictures, n_slots, len(FEATURES)))
    share = fit / (fit.max(axis=1, keepdims=True) + EPS)
    ordered = np.sort(share, axis=1)
    second = ordered[:, -2:-1] if n_blocks > 1 else np.zeros((n_pictures, 1))
    lead = np.where(share >= ordered[:, -1:], share - second, 0.0)
    mutual = share * fit / (fit.max(axis=0, keepdims=True) + EPS)
    before, after = view.before, view.after
    second_before = np.maximum(before - 1, -1)
    second_after = np.where((after >= 0) & (after + 1 < n_blocks), after + 1, -1)
    heading_before = np.array([b >= 0 and view.kind[b] == "heading" for b in before], dtype=np.float64)
    table = {
        "before_strong": _at(share**3, before),
        "before_lead": _at(lead, before),
        "before_mutual": _at(mutual, before),
        "before_second": _at(share, second_before),
        "after_second": _at(share, second_after),
        "under_heading": _at(share, before) * heading_before,
        "section": _section_share(share, view),
    }
    return np.stack([table[name] for name in FEATURES], axis=-1)


def habits(view: SlotView) -> Table:
    """(S, H) of `HABITS`."""
    before, after = view.before, view.after
    n_blocks = len(view.kind)
    kinds = np.array([*view.kind, "none"])
    kind_before, kind_after = kinds[before], kinds[after]
    words = np.append(view.words, 0)
    colon = np.append(view.colon, False)[before]
    goes_on = np.isin(kind_after, ("list", "code", "table"))
    below = np.array([c is not None and c.direction in ("below", "any") for c in view.cue] + [False])
    above = np.array([c is not None and c.direction == "above" for c in view.cue] + [False])
    last = np.append(view.section == view.section.max(), False) if n_blocks else np.array([False])
    table = {
        "cue_before": below[before],
        "cue_after": above[after],
        "colon": colon & ~goes_on,
        "colon_list": colon & goes_on,
        "top": before < 0,
        "end": after < 0,
        "heading_before": kind_before == "heading",
        "heading_after": kind_after == "heading",
        "list_before": kind_before == "list",
        "list_after": kind_after == "list",
        "between_lists": (kind_before == "list") & (kind_after == "list"),
        "code_before": kind_before == "code",
        "code_after": kind_after == "code",
        "short_before": (words[before] < SHORT_WORDS) & (kind_before == "paragraph"),
        "words_before": np.log1p(words[before]),
        "last_section": last[before],
    }
    return np.stack([np.asarray(table[name], dtype=np.float64) for name in HABITS], axis=-1)


def _at(values: Table, index: NDArray[np.int64]) -> Table:
    """Columns of `values` (K, B) at `index` (S,), zero where the index is -1."""
    padded = np.concatenate([values, np.zeros((values.shape[0], 1))], axis=1)
    return padded[:, index]


def _section_share(share: Table, view: SlotView) -> Table:
    """(K, S) mean share of the section of the block before, relative to the picture's best section."""
    n_sections = int(view.section.max()) + 1
    means = np.zeros((share.shape[0], n_sections))
    for number in range(n_sections):
        inside = view.section == number
        if inside.any():
            means[:, number] = share[:, inside].mean(axis=1)
    means /= means.max(axis=1, keepdims=True) + EPS
    return means[:, view.section[np.maximum(view.before, 0)]]
