"""Ranker: how probable each slot is for each picture, a conditional logit with few weights.

The weights stand in `ranker.json` beside this file, readable by a person and written by
`evals/train_placement.py`; `docs/ranker.md` says on what they were trained and how well they do.
A picture without words is placed by the habits of authors alone; one with words by both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.placing.belonging import BAG_SIGNS, COMPANY, SIGNS, Belonging, BelongingWeights, Spread
from agents.placing.evidence import FEATURES, HABITS
from interleaf.errors import WeightsUnusable

__all__ = ["Ranker", "load_ranker", "read_ranker"]

Table = NDArray[np.float64]
MODEL_PATH = Path(__file__).with_name("ranker.json")
FORMAT = "interleaf-ranker-1"
_SPREAD = tuple(field.name for field in fields(Spread))


@dataclass(frozen=True)
class Ranker:
    """Weights of `FEATURES` and of `HABITS` (for pictures with words, and for those without)."""

    features: Table  # (F,)
    habits: Table  # (H,)
    wordless_habits: Table  # (H,)
    belonging: Belonging

    def posterior(self, evidence: Table, habits: Table, has_words: NDArray[np.bool_]) -> Table:
        """(K, S) rows that sum to one: how probable each slot is for each picture."""
        utility = evidence @ self.features + (habits @ self.habits)[None, :]  # (K, S)
        utility = np.where(has_words[:, None], utility, (habits @ self.wordless_habits)[None, :])
        utility = utility - utility.max(axis=1, keepdims=True)
        weight = np.exp(utility)
        return np.asarray(weight / weight.sum(axis=1, keepdims=True), dtype=np.float64)


def read_ranker(record: Mapping[str, Any], name: str) -> Ranker:
    """The ranker that a record holds. WeightsUnusable when it is of another format or lacks a weight."""
    if record.get("format") != FORMAT:
        raise WeightsUnusable(name, f"is not of the format {FORMAT}.", "Train again: evals/train_placement.py.")

    def weights(key: str, names: Sequence[str]) -> Table:
        given: object = record
        for part in key.split("."):
            given = given.get(part) if isinstance(given, dict) else None
        if not isinstance(given, dict) or sorted(given) != sorted(names):
            raise WeightsUnusable(
                name, f"`{key}` does not name exactly {', '.join(names)}.", "Train again: evals/train_placement.py."
            )
        return np.array([float(given[n]) for n in names], dtype=np.float64)

    return Ranker(
        features=weights("features", FEATURES),
        habits=weights("habits", HABITS),
        wordless_habits=weights("wordless_habits", HABITS),
        belonging=Belonging(
            BelongingWeights(
                first=weights("belonging.first", SIGNS),
                second=weights("belonging.second", (*SIGNS, *COMPANY)),
                words=Spread(*weights("belonging.words", _SPREAD).tolist()),
                looks=Spread(*weights("belonging.looks", _SPREAD).tolist()),
                bag=weights("belonging.bag", BAG_SIGNS),
            )
        ),
    )


@cache
def load_ranker() -> Ranker:
    """The ranker in the file beside this one; read once. WeightsUnusable when it is missing or damaged."""
    try:
        record = json.loads(MODEL_PATH.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsUnusable(MODEL_PATH.name, f"cannot be read ({error}).", "Install interleaf again.") from error
    return read_ranker(record, MODEL_PATH.name)
