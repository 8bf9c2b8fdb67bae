"""Recall: how much of what exact search finds an index finds too, on queries made for the purpose.

Two kinds of query, for they behave differently: `near` ones lie close to kept vectors (a caption asked
for again in other words); `far` ones are all moved off in one direction and blurred, as paragraphs lie
beside captions and texts beside pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from retrieval.vectors.nearest import Neighbours, Vectors

__all__ = ["Recall", "least_effort", "probes", "recall_at"]

K: Final = 10
MAX_EFFORT: Final = 512
_EFFORT_STEP: Final = 1 / 16  # an effort nearer than this to the least one is not looked for
_SEED: Final = 20_240_229
_NEAR_NOISE: Final = 0.5  # length of the noise beside a unit vector: a cosine of about 0.9
_FAR_SHIFT: Final = 0.5  # the same for all: a cosine of about 0.7 together with the noise
_FAR_NOISE: Final = 0.8


@dataclass(frozen=True)
class Recall:
    """Shares in 0..1 of the ten exact nearest that were found."""

    near: float
    far: float

    def meets(self, near: float, far: float) -> bool:
        """Whether both are reached."""
        return self.near >= near and self.far >= far


def probes(rows: Vectors, count: int) -> tuple[Vectors, Vectors]:
    """(near (count, D), far (count, D)) unit queries made from kept rows (N, D); the same rows give the same."""
    random = np.random.default_rng(_SEED)
    dimension = rows.shape[1]

    def noise(length: float) -> Vectors:
        drawn = random.standard_normal((count, dimension)).astype(np.float32)
        return drawn * np.float32(length / np.sqrt(dimension))

    near = rows[random.integers(0, len(rows), count)] + noise(_NEAR_NOISE)
    shift = np.asarray(random.standard_normal(dimension), np.float32) * np.float32(_FAR_SHIFT / np.sqrt(dimension))
    far = rows[random.integers(0, len(rows), count)] + shift + noise(_FAR_NOISE)
    return _unit(near), _unit(far)


def recall_at(found: Sequence[Neighbours], truth: Sequence[Neighbours]) -> float:
    """Mean share of the true neighbours' numbers among the found; 1.0 when there is nothing to find."""
    shares = [
        len(np.intersect1d(f.numbers, t.numbers)) / len(t.numbers)
        for f, t in zip(found, truth, strict=True)
        if len(t.numbers)
    ]
    return float(np.mean(shares)) if shares else 1.0


def least_effort(reached: Callable[[int], Recall], near: float, far: float) -> tuple[int, Recall]:
    """(effort, its recall): about the least from K to MAX_EFFORT whose recall reaches both, by doubling and bisection.

    `reached` measures one effort. Where none is enough, MAX_EFFORT and the recall that fell short."""
    low, high = K - 1, K  # `low` is too little
    recall = reached(high)
    while not recall.meets(near, far):
        if high == MAX_EFFORT:
            return high, recall
        low, high = high, min(2 * high, MAX_EFFORT)
        recall = reached(high)
    while high - low > max(1, int(high * _EFFORT_STEP)):
        middle = (low + high) // 2
        tried = reached(middle)
        if tried.meets(near, far):
            high, recall = middle, tried
        else:
            low = middle
    return high, recall


def _unit(rows: Vectors) -> Vectors:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, np.float32(1e-12)), dtype=np.float32)
