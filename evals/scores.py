"""Scores: predictions against the authors' own decisions, by the shared definitions (docs/quality.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.tasks import MIN_BLOCKS, MIN_HEADINGS, headings_of, query_id, split_blocks

__all__ = [
    "OutlineScore",
    "PlacementScore",
    "RetrievalScore",
    "score_outline",
    "score_placement",
    "score_retrieval",
]

Record = Mapping[str, Any]


@dataclass(frozen=True)
class PlacementScore:
    """Averages over pictures; a picture that was left out is a full-length miss."""

    pictures: int
    exact: float
    within_one: float
    distance: float
    precision_of_placed: float
    recall_of_own: float


@dataclass(frozen=True)
class RetrievalScore:
    queries: int
    recall_at_1: float
    recall_at_10: float
    mean_reciprocal_rank: float


@dataclass(frozen=True)
class OutlineScore:
    """Macro averages over articles with a boundary inside."""

    articles: int
    boundary_f1: float
    pk: float


def score_placement(articles: Sequence[Record], predictions: Mapping[str, Mapping[str, int | None]]) -> PlacementScore:
    """`predictions`: article id → picture path → slot, or None for left out."""
    pictures = exact = within = placed = own = 0
    distance = 0.0
    for article in articles:
        text, images = split_blocks(article)
        gold: dict[str, list[int]] = {}
        for image in images:
            gold.setdefault(image["image_path"], []).append(image["slot"])
        said = predictions.get(article["id"], {})
        for path, slots in gold.items():
            slot = said.get(path)
            away = len(text) if slot is None else min(abs(slot - right) for right in slots)
            pictures += 1
            exact += away == 0
            within += away <= 1
            distance += away / len(text)
        kept = [path for path, slot in said.items() if slot is not None]
        placed += len(kept)
        own += sum(path in gold for path in kept)
    n = max(1, pictures)
    return PlacementScore(pictures, exact / n, within / n, distance / n, own / max(1, placed), own / n)


def score_retrieval(articles: Sequence[Record], ranked: Mapping[str, Sequence[str]]) -> RetrievalScore:
    """`ranked`: query id → picture paths, best first. Pictures with the same caption count as right."""

    def folded(caption: str) -> str:
        return re.sub(r"\W+", " ", caption.lower()).strip()

    captioned = [p for article in articles for p in split_blocks(article)[1] if p["caption"]]
    same: dict[str, set[str]] = {}
    for picture in captioned:
        same.setdefault(folded(picture["caption"]), set()).add(picture["image_path"])
    at_1 = at_10 = 0
    reciprocal = 0.0
    for picture in captioned:
        right = same[folded(picture["caption"])]
        rank = next((i for i, path in enumerate(ranked.get(query_id(picture), ()), 1) if path in right), None)
        if rank is not None:
            at_1 += rank <= 1
            at_10 += rank <= 10
            reciprocal += 1 / rank
    n = max(1, len(captioned))
    return RetrievalScore(len(captioned), at_1 / n, at_10 / n, reciprocal / n)


def score_outline(articles: Sequence[Record], boundaries: Mapping[str, Sequence[int]]) -> OutlineScore:
    """`boundaries`: article id → block numbers before which a heading stands. Pk's window is half the mean segment."""
    f1: list[float] = []
    pk: list[float] = []
    for article in articles:
        rest, headings = headings_of(article)
        gold = {k for k, _, _ in headings if k > 0}
        if len(headings) < MIN_HEADINGS or len(rest) < MIN_BLOCKS or not gold:
            continue
        said = {k for k in boundaries.get(article["id"], ()) if 0 < k < len(rest)}
        f1.append(2 * len(gold & said) / (len(gold) + len(said)))
        n = len(rest)
        window = max(1, round(n / (len(gold) + 1) / 2))
        truth = [sum(b <= i for b in gold) for i in range(n)]
        found = [sum(b <= i for b in said) for i in range(n)]
        wrong = sum((truth[i] == truth[i + window]) != (found[i] == found[i + window]) for i in range(n - window))
        pk.append(wrong / max(1, n - window))
    count = max(1, len(f1))
    return OutlineScore(len(f1), sum(f1) / count, sum(pk) / count)
