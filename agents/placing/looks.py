"""Looks: how alike pictures look, so that a series is recognised even where captions are missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLOUR_BINS", "likeness_of_looks", "look_nearness"]

Table = NDArray[np.float64]

# A look is that many roots of colour shares, then mean colours of a coarse grid (`retrieval/pictures/look.py`).
COLOUR_BINS = 72
NEAREST_LOOKS = 3
SAME_SIZE_WEIGHT = 0.5


def likeness_of_looks(looks: Sequence[Sequence[float]], sizes: Sequence[tuple[int, int]]) -> Table | None:
    """(K, K) how alike pictures look: shared colours, their layout, the same size. None unless all were looked at."""
    if not looks or any(len(look) <= COLOUR_BINS for look in looks):
        return None
    table = np.array(looks, dtype=np.float64)
    colours, layout = table[:, :COLOUR_BINS], table[:, COLOUR_BINS:]
    size = np.array(sizes, dtype=np.float64)
    same_size = np.abs(size[:, None, :] - size[None, :, :]).max(axis=-1) <= 1
    squares = (layout**2).sum(axis=1)
    distance = np.maximum(squares[:, None] + squares[None, :] - 2 * layout @ layout.T, 0.0) / layout.shape[1]
    return np.asarray(colours @ colours.T + SAME_SIZE_WEIGHT * same_size - np.sqrt(distance), dtype=np.float64)


def look_nearness(looks: Table | None, n_pictures: int) -> Table:
    """(K,) mean likeness with the three candidates that look most alike; zero where nobody looked."""
    if looks is None or n_pictures < 2:
        return np.zeros(n_pictures)
    nearest = np.sort(np.where(np.eye(n_pictures, dtype=bool), -np.inf, looks), axis=1)[:, ::-1]
    return np.asarray(nearest[:, : min(NEAREST_LOOKS, n_pictures - 1)].mean(axis=1), dtype=np.float64)
