"""Series: pictures that carry numbers ("Figure 3", "Step 2", "Bowl (4)") stand in the order of their numbers.

On the development set all 29 pairs of such pictures stand in that order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.placing.cue import number_parts, sequence_of
from agents.placing.evidence import SlotView

__all__ = ["in_order", "number_hints"]

Table = NDArray[np.float64]

# How much more likely a slot is when the text right before it names the very number, as "see Figure 3" does.
NAMED_WEIGHT = 20.0
# A numbered step of the text beside a picture of the step with that number.
STEP_WEIGHT = 6.0


def in_order(pairs: Sequence[tuple[int, int]], captions: Sequence[str]) -> list[tuple[int, int]]:
    """(picture, slot) pairs with the pictures of each series exchanged among their slots, so that numbers rise.

    Series whose numbers are not all different say nothing of an order and are left alone.
    """
    members: defaultdict[str, list[tuple[tuple[int, ...], int, int]]] = defaultdict(list)
    for picture, slot in pairs:
        if (place := sequence_of(captions[picture])) is not None:
            members[place.kind].append((place.number, picture, slot))
    moved: dict[int, int] = dict(pairs)
    for found in members.values():
        if len(found) > 1 and len({number for number, _, _ in found}) == len(found):
            slots = sorted(slot for _, _, slot in found)
            for (_, picture, _), slot in zip(sorted(found), slots, strict=True):
                moved[picture] = slot
    return sorted(moved.items(), key=lambda pair: (pair[1], pair[0]))


def number_hints(captions: Sequence[str], view: SlotView) -> Table:
    """(K, S) factors above 1 where the text beside a slot names a picture's own number, 1 elsewhere."""
    factors = np.ones((len(captions), len(view.before)))
    for k, caption in enumerate(captions):
        place = sequence_of(caption)
        if place is None or place.kind.startswith("stem"):
            continue
        for slot in range(factors.shape[1]):
            before, after = int(view.before[slot]), int(view.after[slot])
            if place.kind == "figure":
                if before >= 0 and place.number in map(number_parts, view.figures[before]):
                    factors[k, slot] = NAMED_WEIGHT
            elif any(block >= 0 and view.step[block] == place.number[0] for block in (before, after)):
                factors[k, slot] = STEP_WEIGHT
    return factors
