"""Bag: own pictures of real articles with strangers among them, and what of belonging is learnt from such bags."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agents.context import Embedder
from agents.placing.belonging import (
    BAG_SIGNS,
    Belonging,
    BelongingWeights,
    Spread,
    bag_signs,
    company,
    likely,
    signs,
)
from agents.placing.looks import likeness_of_looks
from agents.words.similarity import Similarity, measure, reads_language
from evals.articleset import IllustratedArticle
from evals.logit import fit_logistic
from interleaf.schema import Picture

__all__ = ["Bag", "draw_bag", "fit_belonging", "measure_bags"]

Table = NDArray[np.float64]

# Strength of the pull of every weight towards zero (L2), chosen by the left-out sources.
BELONGING_PULL = 0.1
BAG_PULL = 0.003
BAG_SHARPNESS = 2.0
BAG_RELUCTANCE = 0.4
# Bags with strangers drawn for each article.
DRAWS = 4


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
    articles: Sequence[IllustratedArticle],
    embedder: Embedder,
    looks: Mapping[str, tuple[float, ...]] | None = None,
) -> list[Bag]:
    """Bags of every article: its own pictures alone, and with as many strangers (`DRAWS` times).
    `looks`: picture id → its look."""
    looks = looks or {}
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
    found: Table = fit_logistic(table / scale, target, weight, pull) / scale
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
    found: Table = fit_logistic(stacked / scale, ones, weight, np.full(stacked.shape[1], BELONGING_PULL)) / scale
    return found


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
