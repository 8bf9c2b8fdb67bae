"""Belonging: whether a picture is of this piece at all, before the question where it stands.

Own pictures of a piece share its rare words; strangers, even from the same author, share only common ones.
How much is enough differs from bag to bag, so each candidate is also read against the best of its bag:
where all look at home, all stay; where the bag falls apart in two, it is split.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.similarity import Similarity

__all__ = ["SIGNS", "belongs", "signs"]

Table = NDArray[np.float64]
EPS = 1e-9

SIGNS = (
    "constant",
    "best_words",  # best lexical similarity with a block
    "best_coverage",  # largest share of the caption's weight that one block holds
    "best_stem",
    "best_sense",
    "known",  # share of the caption's weight that the text knows at all
    "title_words",
    "title_sense",
    "words_in_bag",  # best_words as a share of the bag's third quartile
    "sense_in_bag",
    "wordless",
)


def signs(similarity: Similarity, has_words: NDArray[np.bool_], sense_counts: bool) -> Table:
    """(K, N) of `SIGNS`; `sense_counts`: whether the sentence encoder reads the piece's language."""
    n_pictures = len(has_words)
    if n_pictures == 0:
        return np.zeros((0, len(SIGNS)))
    some = similarity.lexical.shape[1] > 0

    def best(table: Table) -> Table:
        return table.max(axis=1) if some else np.zeros(n_pictures)

    scale = 1.0 if sense_counts else 0.0
    words, sense = best(similarity.lexical), best(similarity.sense) * scale
    table = {
        "constant": np.ones(n_pictures),
        "best_words": words,
        "best_coverage": best(similarity.coverage),
        "best_stem": best(similarity.stem),
        "best_sense": sense,
        "known": similarity.known,
        "title_words": similarity.title_lexical,
        "title_sense": similarity.title_sense * scale,
        "words_in_bag": _in_bag(words, has_words),
        "sense_in_bag": _in_bag(sense, has_words),
        "wordless": ~has_words,
    }
    return np.stack(
        [
            np.asarray(table[name], dtype=np.float64) * (has_words | (name in ("constant", "wordless")))
            for name in SIGNS
        ],
        axis=-1,
    )


def _in_bag(values: Table, has_words: NDArray[np.bool_]) -> Table:
    """Each value as a share of the bag's third quartile, at most 2."""
    known = values[has_words]
    if len(known) == 0:
        return np.zeros_like(values)
    return np.minimum(values / (np.quantile(known, 0.75) + EPS), 2.0)


def belongs(table: Table, weights: Table) -> NDArray[np.float64]:
    """(K,) how probable it is that each candidate is of this piece, from `signs` and the ranker's weights."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(table @ weights, -30.0, 30.0))), dtype=np.float64)
