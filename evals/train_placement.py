"""Train placement: fits the ranker's few weights on illustrated articles, and says how well they carry over.

    python -m evals.train_placement SET_DIR [--out agents/ranker.json]

SET_DIR holds `articles.jsonl` (see `evals/articleset.py`). Printed first: every source left out in turn,
weights fitted on the others, measured on it. Then all sources are used for the model file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from agents.belonging import SIGNS, signs
from agents.context import Embedder
from agents.evidence import FEATURES, HABITS, evidence, habits, slot_view
from agents.ranker import FORMAT, Ranker
from agents.similarity import fused, measure, reads_language
from evals.articleset import IllustratedArticle
from interleaf.schema import Picture

Table = NDArray[np.float64]

# Strength of the pull of every weight towards zero (L2), chosen by the left-out sources.
FEATURE_PULL = 0.1
HABIT_PULL = 10.0
WORDLESS_HABIT_PULL = 0.1
BELONGING_PULL = 0.02


@dataclass(frozen=True)
class Case:
    """One article, measured: evidence of its own pictures, habits of its slots."""

    article: IllustratedArticle
    evidence: Table  # (K, S, F)
    habits: Table  # (S, H)
    has_words: NDArray[np.bool_]


def measure_case(article: IllustratedArticle, embedder: Embedder) -> Case:
    similarity = measure(article.title, article.blocks, article.pictures, embedder)
    view = slot_view(article.blocks)
    return Case(
        article=article,
        evidence=evidence(fused(similarity, article.language), view),
        habits=habits(view),
        has_words=np.array([bool(p.words.strip()) for p in article.pictures], dtype=np.bool_),
    )


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


@dataclass(frozen=True)
class Bag:
    """One article with strangers among its pictures: signs of each candidate and which are its own."""

    source: str
    signs: Table  # (K, N)
    own: NDArray[np.bool_]  # (K,)


def draw_bag(
    article: IllustratedArticle, articles: Sequence[IllustratedArticle], strangers: int, same_source: bool, draw: int
) -> tuple[list[Picture], NDArray[np.bool_]]:
    """Own pictures and `strangers` as many others, drawn by hash: the same on every machine."""
    own = {p.id for p in article.pictures}
    pool = {
        p.id: p
        for other in articles
        if other.id != article.id and (not same_source or other.source == article.source)
        for p in other.pictures
        if p.id not in own
    }
    order = sorted(pool, key=lambda i: hashlib.sha256(f"{draw}:{article.id}:{i}".encode()).digest())
    drawn = [pool[i] for i in order[: strangers * len(article.pictures)]]
    pictures = [*article.pictures, *drawn]
    return pictures, np.array([p.id in own for p in pictures], dtype=np.bool_)


def measure_bags(articles: Sequence[IllustratedArticle], embedder: Embedder) -> list[Bag]:
    """Bags without strangers, with strangers of the same source, and with any strangers, of every article."""
    bags: list[Bag] = []
    for article in articles:
        for strangers, same_source, draw in ((0, True, 0), (1, True, 1), (1, True, 2), (1, False, 3)):
            pictures, own = draw_bag(article, articles, strangers, same_source, draw)
            similarity = measure(article.title, article.blocks, pictures, embedder)
            has_words = np.array([bool(p.words.strip()) for p in pictures], dtype=np.bool_)
            bags.append(Bag(article.source, signs(similarity, has_words, reads_language(article.language)), own))
    return bags


def fit_belonging(bags: Sequence[Bag]) -> Table:
    """Weights (N,) of a logistic regression with an L2 pull, on signs scaled to unit variance."""
    stacked = np.concatenate([b.signs for b in bags])
    own = np.concatenate([b.own for b in bags]).astype(np.float64)
    scale = stacked.std(axis=0)
    scale[scale < 1e-6] = 1.0
    scaled = stacked / scale
    pull = np.full(stacked.shape[1], BELONGING_PULL)
    pull[0] = 0.0

    def loss(weights: Table) -> tuple[float, Table]:
        utility = np.clip(scaled @ weights, -30, 30)
        likelihood = float((own * utility - np.log1p(np.exp(utility))).mean())
        gradient = scaled.T @ (own - 1 / (1 + np.exp(-utility))) / len(own)
        return -likelihood + float((pull * weights**2).sum()) / 2, -gradient + pull * weights

    found = minimize(loss, np.zeros(stacked.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.asarray(found.x / scale, dtype=np.float64)


def fit_ranker(cases: Sequence[Case], bags: Sequence[Bag]) -> Ranker:
    """The ranker of these cases and bags."""
    rows, gold, habit_rows, habit_gold = [], [], [], []
    for case in cases:
        for k, slots in enumerate(case.article.slots):
            habit_rows.append(case.habits)
            habit_gold.append(slots)
            if case.has_words[k]:
                rows.append(np.concatenate([case.evidence[k], case.habits], axis=1))
                gold.append(slots)
    pull = np.array([FEATURE_PULL] * len(FEATURES) + [HABIT_PULL] * len(HABITS))
    weights = fit_logit(rows, gold, pull)
    return Ranker(
        features=weights[: len(FEATURES)],
        habits=weights[len(FEATURES) :],
        wordless_habits=fit_logit(habit_rows, habit_gold, np.full(len(HABITS), WORDLESS_HABIT_PULL)),
        belonging=fit_belonging(bags),
    )


def record_of(ranker: Ranker, trained_on: str) -> dict[str, object]:
    """The ranker as the JSON record that `agents.ranker.read_ranker` reads."""

    def named(names: Sequence[str], weights: Table) -> dict[str, float]:
        return {name: round(float(w), 4) for name, w in zip(names, weights, strict=True)}

    return {
        "format": FORMAT,
        "trained_on": trained_on,
        "features": named(FEATURES, ranker.features),
        "habits": named(HABITS, ranker.habits),
        "wordless_habits": named(HABITS, ranker.wordless_habits),
        "belonging": named(SIGNS, ranker.belonging),
    }
