"""Train placement: fits the ranker's few weights on illustrated articles, and says how well they carry over.

    python -m evals.train_placement SET_DIR [--out agents/ranker.json]

SET_DIR holds `articles.jsonl` (see `evals/articleset.py`). Printed first: every source left out in turn,
weights fitted on the others, measured on it. Then all sources are used for the model file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from agents.belonging import (
    BAG_SIGNS,
    COMPANY,
    SIGNS,
    Belonging,
    BelongingWeights,
    Spread,
    bag_signs,
    company,
    likely,
    signs,
)
from agents.context import Embedder
from agents.evidence import FEATURES, HABITS, evidence, habits, slot_view
from agents.looks import likeness_of_looks
from agents.ranker import FORMAT, Ranker
from agents.similarity import Similarity, fused, measure, reads_language
from evals.articleset import IllustratedArticle
from interleaf.schema import Picture

Table = NDArray[np.float64]

# Strength of the pull of every weight towards zero (L2), chosen by the left-out sources.
FEATURE_PULL = 0.1
HABIT_PULL = 10.0
WORDLESS_HABIT_PULL = 0.1
BELONGING_PULL = 0.1
BAG_PULL = 0.003
BAG_SHARPNESS = 2.0
BAG_RELUCTANCE = 0.3
# Bags with strangers drawn for each article.
DRAWS = 2


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
    """One article's pictures, with or without strangers among them."""

    source: str
    similarity: Similarity
    has_words: NDArray[np.bool_]  # (K,)
    looks: Table | None  # (K, K)
    sense_counts: bool
    own: NDArray[np.bool_]  # (K,)


def draw_bag(
    article: IllustratedArticle, articles: Sequence[IllustratedArticle], strangers: int, draw: int
) -> tuple[list[Picture], NDArray[np.bool_]]:
    """Own pictures and `strangers` times as many others of the same source, drawn by hash: the same everywhere."""
    own = {p.id for p in article.pictures}
    pool = {
        p.id: p
        for other in articles
        if other.id != article.id and other.source == article.source
        for p in other.pictures
        if p.id not in own
    }
    order = sorted(pool, key=lambda i: hashlib.sha256(f"{draw}:{article.id}:{i}".encode()).digest())
    pictures = [*article.pictures, *(pool[i] for i in order[: strangers * len(article.pictures)])]
    return pictures, np.array([p.id in own for p in pictures], dtype=np.bool_)


def measure_bags(
    articles: Sequence[IllustratedArticle], looks: Mapping[str, tuple[float, ...]], embedder: Embedder
) -> list[Bag]:
    """Two bags of every article: its own pictures alone, and with as many strangers (`DRAWS` times)."""
    bags: list[Bag] = []
    for article in articles:
        for strangers, draw in ((0, 0), *((1, d) for d in range(1, DRAWS + 1))):
            pictures, own = draw_bag(article, articles, strangers, draw)
            bags.append(
                Bag(
                    source=article.source,
                    similarity=measure(article.title, article.blocks, pictures, embedder),
                    has_words=np.array([bool(p.words.strip()) for p in pictures], dtype=np.bool_),
                    looks=likeness_of_looks(
                        [looks.get(p.id, ()) for p in pictures], [(p.width_px, p.height_px) for p in pictures]
                    ),
                    sense_counts=reads_language(article.language),
                    own=own,
                )
            )
    return bags


def fit_belonging(bags: Sequence[Bag]) -> BelongingWeights:
    """Own against stranger of the same bag (a logistic regression on differences), then the spreads, then the bag."""
    mixed = [b for b in bags if not b.own.all() and b.own.any()]
    tables = [signs(b.similarity, b.has_words, b.sense_counts) for b in mixed]
    first = _fit_pairs(
        [t[b.has_words] for t, b in zip(tables, mixed, strict=True)], [b.own[b.has_words] for b in mixed]
    )
    beside = [
        company(b.similarity, b.has_words, likely(t @ first, b.has_words), b.looks, b.sense_counts)
        for t, b in zip(tables, mixed, strict=True)
    ]
    both = [np.concatenate([t, c], axis=1) for t, c in zip(tables, beside, strict=True)]
    second = _fit_pairs([t[b.has_words] for t, b in zip(both, mixed, strict=True)], [b.own[b.has_words] for b in mixed])
    worded = [b.has_words for b in mixed]
    words = _spread([t @ second for t in both], [b.own for b in mixed], worded)
    looks = _spread([c[:, -1] for c in beside], [b.own for b in mixed], [np.ones_like(h) for h in worded])
    weights = BelongingWeights(first, second, words, looks, np.zeros(len(BAG_SIGNS)))
    return replace(weights, bag=_fit_bag(bags, weights))


def _fit_bag(bags: Sequence[Bag], weights: BelongingWeights) -> Table:
    reader = Belonging(weights)
    rows, mixed = [], []
    for bag in bags:
        if bag.has_words.any():
            score, _ = reader.scores(bag.similarity, bag.has_words, bag.looks, bag.sense_counts)
            rows.append(bag_signs(score, bag.similarity, bag.has_words, bag.sense_counts))
            mixed.append(not bag.own.all())
    table, target = np.stack(rows), np.array(mixed, dtype=np.float64)
    # Whole and mixed bags count the same, however often strangers were drawn.
    weight = np.where(target > 0, 0.5 / max(target.sum(), 1.0), 0.5 / max((1 - target).sum(), 1.0))
    scale = table.std(axis=0)
    scale[scale < 1e-6] = 1.0
    pull = np.full(table.shape[1], BAG_PULL)
    pull[0] = 0.0
    found = _logistic(table / scale, target, weight, pull) / scale
    # Sharper, and in favour of leaving the bag whole: a picture that someone handed over is missed more.
    found *= BAG_SHARPNESS
    found[0] -= BAG_SHARPNESS * BAG_RELUCTANCE
    return found


def _fit_pairs(rows: Sequence[Table], own: Sequence[NDArray[np.bool_]]) -> Table:
    """Weights (N,) under which own pictures outscore strangers of the same bag."""
    differences, weights = [], []
    for table, is_own in zip(rows, own, strict=True):
        ours, theirs = table[is_own], table[~is_own]
        if len(ours) and len(theirs):
            pairs = (ours[:, None, :] - theirs[None, :, :]).reshape(-1, table.shape[1])
            differences.append(pairs)
            weights.append(np.full(len(pairs), np.sqrt(len(ours) * len(theirs)) / len(pairs)))
    stacked, weight = np.concatenate(differences), np.concatenate(weights)
    weight = weight / weight.sum()
    scale = np.sqrt((stacked**2 * weight[:, None]).sum(axis=0)) + 1e-6
    ones = np.ones(len(stacked))
    return _logistic(stacked / scale, ones, weight, np.full(stacked.shape[1], BELONGING_PULL)) / scale


def _logistic(table: Table, target: Table, weight: Table, pull: Table) -> Table:
    def loss(weights: Table) -> tuple[float, Table]:
        utility = np.clip(table @ weights, -30.0, 30.0)
        likelihood = float((weight * (target * utility - np.logaddexp(0.0, utility))).sum())
        gradient = table.T @ (weight * (target - 1.0 / (1.0 + np.exp(-utility))))
        return -likelihood + float((pull * weights**2).sum()) / 2, -gradient + pull * weights

    found = minimize(loss, np.zeros(table.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    return np.asarray(found.x, dtype=np.float64)


def _spread(scores: Sequence[Table], own: Sequence[NDArray[np.bool_]], used: Sequence[NDArray[np.bool_]]) -> Spread:
    levels, gaps, ours, theirs = [], [], [], []
    for score, is_own, is_used in zip(scores, own, used, strict=True):
        a, b = score[is_own & is_used], score[~is_own & is_used]
        if len(a) >= 2:
            levels.append(a.mean())
            ours.append(a - a.mean())
        if len(a) >= 2 and len(b) >= 2:
            gaps.append(a.mean() - b.mean())
            theirs.append(b - b.mean())
    return Spread(
        level=float(np.mean(levels)),
        level_sd=float(np.std(levels)) + 1e-3,
        gap=float(np.mean(gaps)),
        own_sd=float(np.std(np.concatenate(ours))) * 1.05 + 1e-3,
        stranger_sd=float(np.std(np.concatenate(theirs))) * 1.05 + 1e-3,
    )


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
        belonging=Belonging(fit_belonging(bags)),
    )


def record_of(ranker: Ranker, trained_on: str) -> dict[str, object]:
    """The ranker as the JSON record that `agents.ranker.read_ranker` reads."""

    def named(names: Sequence[str], weights: Table) -> dict[str, float]:
        return {name: round(float(w), 4) for name, w in zip(names, weights, strict=True)}

    belonging = ranker.belonging.weights
    return {
        "format": FORMAT,
        "trained_on": trained_on,
        "features": named(FEATURES, ranker.features),
        "habits": named(HABITS, ranker.habits),
        "wordless_habits": named(HABITS, ranker.wordless_habits),
        "belonging": {
            "first": named(SIGNS, belonging.first),
            "second": named((*SIGNS, *COMPANY), belonging.second),
            "words": {key: round(value, 4) for key, value in asdict(belonging.words).items()},
            "looks": {key: round(value, 4) for key, value in asdict(belonging.looks).items()},
            "bag": named(BAG_SIGNS, belonging.bag),
        },
    }
