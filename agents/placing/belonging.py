"""Belonging: whether a picture is of this piece at all, before the question where it stands.

Own pictures of a piece share its rare words and say much the same as one another; strangers, even from
the same author, do not. How much is enough differs from piece to piece, so a bag of pictures that were
handed over is read as a whole, in three steps:

1 score  each candidate by its signs against the text, the other candidates, and their looks
2 split  the bag, as if half of it were strangers, by two overlapping spreads whose level the bag itself sets
3 doubt  the split: a bag that looks all at home stays whole

The library's candidates are strangers until shown otherwise; they are held to the general level alone.
Letters: K candidates, N signs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.placing.looks import look_nearness
from agents.words.similarity import Similarity

__all__ = [
    "BAG_SIGNS",
    "COMPANY",
    "SIGNS",
    "Belonging",
    "BelongingWeights",
    "Spread",
    "bag_signs",
    "company",
    "likely",
    "signs",
]

Table = NDArray[np.float64]
EPS = 1e-9

# Against the text.
SIGNS = (
    "best_words",  # best lexical similarity with a block
    "best_coverage",  # largest share of the caption's weight that one block holds
    "best_stem",
    "best_sense",
    "known",  # share of the caption's weight that the text knows at all
    "title_words",
    "title_sense",
    "whole_words",  # lexical similarity with the whole text
    "words_in_bag",  # best_words as a share of the bag's third quartile
    "sense_in_bag",
)
# Against the other candidates: likely own pictures less likely strangers.
COMPANY = ("words_company", "sense_company", "nearest_company", "look_nearness")
# Of the bag: is anything in it a stranger?
BAG_SIGNS = (
    "constant",
    "tenth",
    "quarter",
    "half",
    "three_quarters",
    "words_between",
    "sense_between",
    "sense_counts",
)

# Width of the level's prior, in standard deviations of the levels seen in training.
LEVEL_WIDTH = 1.5
LEVELS = np.linspace(-2.5, 2.5, 21)
# Candidates of a bag are not independent of one another; their evidence counts for less than its sum.
INDEPENDENCE = 0.3
LIBRARY_SHARE = 0.25
# A candidate this many spreads of own pictures below its bag's median is no part of it; three make a bag.
STRAY_SPREADS = 3.0
STRAY = 0.2
LEAST_BAG = 3
# Student's t: a single odd caption should not move the level of its bag.
TAIL_DEGREES = 6.0


@dataclass(frozen=True)
class Spread:
    """Scores of own pictures: `level` over pieces ± `level_sd`, `own_sd` within a piece; strangers lie
    `gap` lower ± `stranger_sd`."""

    level: float
    level_sd: float
    gap: float
    own_sd: float
    stranger_sd: float


@dataclass(frozen=True)
class BelongingWeights:
    first: Table  # (N,) weights of SIGNS, before the company is known
    second: Table  # (N + 4,) weights of SIGNS and COMPANY
    words: Spread  # of the second score
    looks: Spread  # of look nearness, for pictures without words
    bag: Table  # weights of BAG_SIGNS


@dataclass(frozen=True)
class Belonging:
    """Reads bags with given weights."""

    weights: BelongingWeights

    def of_bag(
        self, similarity: Similarity, has_words: NDArray[np.bool_], looks: Table | None, sense_counts: bool
    ) -> NDArray[np.float64]:
        """(K,) how probable it is that each candidate of a bag that was handed over belongs."""
        if len(has_words) == 0:
            return np.zeros(0)
        score, nearness = self.scores(similarity, has_words, looks, sense_counts)
        apart = self.split(score, nearness, has_words, looks is not None)
        if not has_words.any():
            return np.ones(len(has_words))
        doubt = bag_signs(score, similarity, has_words, sense_counts) @ self.weights.bag
        split = 1.0 / (1.0 + np.exp(-np.clip(doubt, -30.0, 30.0)))
        found = 1.0 - split + split * apart
        return np.asarray(np.where(self.strays(score, has_words), np.minimum(found, STRAY), found), dtype=np.float64)

    def strays(self, score: Table, has_words: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(K,) candidates far below the middle of their bag: one stranger in a bag that is otherwise whole."""
        if int(has_words.sum()) < LEAST_BAG:
            return np.zeros(len(score), dtype=np.bool_)
        bar = float(np.median(score[has_words])) - STRAY_SPREADS * self.weights.words.own_sd
        return np.asarray(has_words & (score < bar), dtype=np.bool_)

    def of_library(
        self, similarity: Similarity, has_words: NDArray[np.bool_], sense_counts: bool
    ) -> NDArray[np.float64]:
        """(K,) the same for candidates that the library offers: against the general level, and doubted."""
        spread = self.weights.words
        score, _ = self.scores(similarity, has_words, None, sense_counts)
        own = np.log(LIBRARY_SHARE) + _log_density(score, spread.level, np.hypot(spread.own_sd, spread.level_sd))
        other = np.log(1 - LIBRARY_SHARE) + _log_density(
            score, spread.level - spread.gap, np.hypot(spread.stranger_sd, spread.level_sd)
        )
        found = np.exp(own - np.logaddexp(own, other))
        # Far above every level is no reason for doubt.
        found = np.where(score >= spread.level, np.maximum(found, 0.5 + 0.5 * found), found)
        return np.asarray(np.where(has_words, found, LIBRARY_SHARE), dtype=np.float64)

    def scores(
        self, similarity: Similarity, has_words: NDArray[np.bool_], looks: Table | None, sense_counts: bool
    ) -> tuple[Table, Table]:
        """(K,) second score and (K,) look nearness."""
        table = signs(similarity, has_words, sense_counts)
        trust = likely(table @ self.weights.first, has_words)
        beside = company(similarity, has_words, trust, looks, sense_counts)
        if looks is None or len(has_words) < 2:
            # Nobody looked: what own pictures usually show, so that the score stays on its scale.
            beside[:, -1] = self.weights.looks.level
        return np.concatenate([table, beside], axis=1) @ self.weights.second, beside[:, -1]

    def split(self, score: Table, nearness: Table, has_words: NDArray[np.bool_], looked: bool) -> NDArray[np.float64]:
        """(K,) the probability of being own if half of the bag were strangers."""
        apart = np.full(len(score), 0.5)
        apart[has_words] = _own_share(score[has_words], self.weights.words)
        if looked:
            apart[~has_words] = _own_share(nearness[~has_words], self.weights.looks)
        return apart


def signs(similarity: Similarity, has_words: NDArray[np.bool_], sense_counts: bool) -> Table:
    """(K, N) of `SIGNS`; `sense_counts`: whether the sentence encoder reads the piece's language."""
    n_pictures = len(has_words)
    some = similarity.lexical.shape[1] > 0 and n_pictures > 0

    def best(values: Table) -> Table:
        return values.max(axis=1) if some else np.zeros(n_pictures)

    scale = 1.0 if sense_counts else 0.0
    words, sense = best(similarity.lexical), best(similarity.sense) * scale
    table = {
        "best_words": words,
        "best_coverage": best(similarity.coverage),
        "best_stem": best(similarity.stem),
        "best_sense": sense,
        "known": similarity.known,
        "title_words": similarity.title_lexical,
        "title_sense": similarity.title_sense * scale,
        "whole_words": similarity.whole_lexical,
        "words_in_bag": _in_bag(words, has_words),
        "sense_in_bag": _in_bag(sense, has_words),
    }
    return np.stack([table[name] for name in SIGNS], axis=-1) * has_words[:, None]


def likely(score: Table, has_words: NDArray[np.bool_]) -> Table:
    """(K,) a first guess from a score: above the bag's median rather own, below rather not."""
    if not has_words.any():
        return np.full(len(score), 0.5)
    guess = 1.0 / (1.0 + np.exp(-np.clip(2.0 * (score - np.median(score[has_words])), -30.0, 30.0)))
    return np.asarray(np.where(has_words, guess, 0.5), dtype=np.float64)


def company(
    similarity: Similarity, has_words: NDArray[np.bool_], trust: Table, looks: Table | None, sense_counts: bool
) -> Table:
    """(K, 4) of `COMPANY`; `trust` (K,) is the first guess of who is own, `looks` (K, K) how alike they look."""
    n_pictures = len(has_words)
    others = 1.0 - np.eye(n_pictures)
    worded = has_words.astype(np.float64)
    both = others * np.outer(worded, worded)
    weight = np.maximum(trust, 1e-3)
    words = similarity.between_lexical * both
    sense = similarity.between_sense * both * (1.0 if sense_counts else 0.0)

    def mean(values: Table, weights: Table) -> Table:
        weighted = others * weights[None, :]
        return np.asarray((values * weighted).sum(axis=1) / (weighted.sum(axis=1) + EPS), dtype=np.float64)

    own, other = weight * worded, (1.0 - weight) * worded + 1e-6
    table = {
        "words_company": mean(words, own) - mean(words, other),
        "sense_company": mean(sense, own) - mean(sense, other),
        "nearest_company": (words * weight[None, :]).max(axis=1) if n_pictures > 1 else np.zeros(n_pictures),
        "look_nearness": look_nearness(looks, n_pictures),
    }
    return np.stack([table[name] for name in COMPANY], axis=-1)


def bag_signs(score: Table, similarity: Similarity, has_words: NDArray[np.bool_], sense_counts: bool) -> Table:
    """(8,) of `BAG_SIGNS` of a bag in which some picture has words."""
    worded = score[has_words]
    pairs = max(1, len(worded) * (len(worded) - 1))
    chosen = np.ix_(has_words, has_words)

    def between(values: Table) -> float:
        inside = values[chosen]
        return float(inside.sum() - np.trace(inside)) / pairs

    tenth, quarter, half, three_quarters = np.quantile(worded, (0.1, 0.25, 0.5, 0.75))
    table = {
        "constant": 1.0,
        "tenth": tenth,
        "quarter": quarter,
        "half": half,
        "three_quarters": three_quarters,
        "words_between": between(similarity.between_lexical),
        "sense_between": between(similarity.between_sense) * (1.0 if sense_counts else 0.0),
        "sense_counts": 1.0 if sense_counts else 0.0,
    }
    return np.array([table[name] for name in BAG_SIGNS], dtype=np.float64)


def _in_bag(values: Table, has_words: NDArray[np.bool_]) -> Table:
    """Each value as a share of the bag's third quartile, at most 2."""
    known = values[has_words]
    if len(known) == 0:
        return np.zeros_like(values)
    return np.minimum(values / (np.quantile(known, 0.75) + EPS), 2.0)


def _own_share(score: Table, spread: Spread) -> Table:
    """(K,) posterior of being own in a bag that is half strangers, its level unknown and integrated over."""
    if len(score) == 0:
        return np.zeros(0)
    level = spread.level + LEVEL_WIDTH * spread.level_sd * LEVELS  # (L,)
    own = _log_density(score[None, :], level[:, None], spread.own_sd)  # (L, K)
    other = _log_density(score[None, :], level[:, None] - spread.gap, spread.stranger_sd)
    either = np.logaddexp(own, other)
    weight = INDEPENDENCE * either.sum(axis=1) - LEVELS**2 / 2
    weight = np.exp(weight - weight.max())
    share: Table = np.exp(own - either)
    return np.asarray((weight / weight.sum()) @ share, dtype=np.float64)


def _log_density(score: Table, mean: Table | float, spread: float) -> Table:
    deviation = (score - mean) / spread
    return np.asarray(-(TAIL_DEGREES + 1) / 2 * np.log1p(deviation**2 / TAIL_DEGREES) - np.log(spread))
