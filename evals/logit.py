"""Logit: weights of two kinds of logistic regression, both pulled towards zero, both deterministic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = ["fit_logistic", "fit_logit"]

Table = NDArray[np.float64]


def fit_logit(rows: Sequence[Table], gold: Sequence[Sequence[int]], pull: Table) -> Table:
    """Weights (F,) of a conditional logit: of the slots of one picture (S, F), which is the author's?

    `pull` (F,) is the L2 strength per weight, on features scaled to unit variance within pictures.
    """
    lengths = np.array([len(r) for r in rows])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    owner = np.repeat(np.arange(len(rows)), lengths)
    stacked = np.concatenate(rows)
    means = np.add.reduceat(stacked, starts, axis=0) / lengths[:, None]
    centred = stacked - means[owner]
    scale = np.sqrt((centred**2).mean(axis=0)) + 1e-6
    scaled = centred / scale
    target = np.zeros(len(stacked))
    for start, slots in zip(starts, gold, strict=True):
        for slot in slots:
            target[start + slot] = 1.0 / len(slots)

    def loss(weights: Table) -> tuple[float, Table]:
        utility = scaled @ weights
        utility = utility - np.maximum.reduceat(utility, starts)[owner]
        mass = np.exp(utility)
        total = np.add.reduceat(mass, starts)[owner]
        likelihood = float((target * (utility - np.log(total))).sum()) / len(rows)
        gradient = scaled.T @ (target - mass / total) / len(rows)
        return -likelihood + float((pull * weights**2).sum()) / 2, -gradient + pull * weights

    found = minimize(loss, np.zeros(stacked.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.asarray(found.x / scale, dtype=np.float64)


def fit_logistic(table: Table, target: Table, weight: Table, pull: Table) -> Table:
    """Weights (F,) of a logistic regression of `target` (N,) in 0..1 on `table` (N, F), rows weighing `weight`."""

    def loss(weights: Table) -> tuple[float, Table]:
        utility = np.clip(table @ weights, -30.0, 30.0)
        likelihood = float((weight * (target * utility - np.logaddexp(0.0, utility))).sum())
        gradient = table.T @ (weight * (target - 1.0 / (1.0 + np.exp(-utility))))
        return -likelihood + float((pull * weights**2).sum()) / 2, -gradient + pull * weights

    found = minimize(loss, np.zeros(table.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    return np.asarray(found.x, dtype=np.float64)
