"""Locality: an order of rows in which neighbours in space stand near one another in memory.

A walk through a graph reads one row after another; when these lie side by side, more of them are in the cache
already. Rows are handed to the nearest of about √N sampled rows, and those are strung into a chain, each followed
by the nearest that is left. Letters: N rows, D width, C sampled rows.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from retrieval.vectors.nearest import Numbers, Vectors

__all__ = ["nearby_order"]

_SEED: Final = 20_240_701
_MAX_SAMPLED: Final = 4_096  # the chain costs their square
_BLOCK_ROWS: Final = 8_192


def nearby_order(rows: Vectors) -> Numbers:
    """(N,) positions of (N, D) unit rows, near ones side by side; the same rows give the same order."""
    count = len(rows)
    sampled = min(_MAX_SAMPLED, math.isqrt(count))
    if sampled < 2:
        return np.arange(count)
    chosen = np.sort(np.random.default_rng(_SEED).choice(count, sampled, replace=False))
    centres = rows[chosen]  # (C, D)
    place_of = np.empty(sampled, np.int64)
    place_of[_chain(centres @ centres.T)] = np.arange(sampled)
    places = np.empty(count, np.int64)
    for start in range(0, count, _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        places[start : start + _BLOCK_ROWS] = place_of[(block @ centres.T).argmax(axis=1)]
    return np.argsort(places, kind="stable")


def _chain(likeness: Vectors) -> Numbers:
    """(C,) indices from 0 on, each followed by the likest one that is left."""
    left = np.ones(len(likeness), bool)
    chain = np.zeros(len(likeness), np.int64)
    left[0] = False
    for i in range(1, len(chain)):
        chain[i] = np.where(left, likeness[chain[i - 1]], -np.inf).argmax()
        left[chain[i]] = False
    return chain
