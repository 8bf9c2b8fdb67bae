"""Baselines: the simplest honest answers, computed on the same tasks in the same run.

TF-IDF over words and CJK bigrams, fitted on the texts at hand; no training, no encoder.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from interleaf.text import terms

__all__ = [
    "after_the_best_block",
    "better_half",
    "deepest_valleys",
    "most_similar_caption",
    "random_slots",
]

Record = Mapping[str, Any]
Table = NDArray[np.float64]


def _similarity(left: Sequence[str], right: Sequence[str]) -> Table:
    """(len(left), len(right)) cosines of TF-IDF rows fitted on both."""
    vectorizer = TfidfVectorizer(analyzer=_terms_or_blank, sublinear_tf=True)
    vectorizer.fit([*left, *right])
    return np.asarray((vectorizer.transform(left) @ vectorizer.transform(right).T).toarray(), dtype=np.float64)


def _terms_or_blank(text: str) -> list[str]:
    # An empty vocabulary is an error in scikit-learn; one common term has no say in any cosine between others.
    return terms(text) or [""]


def _said_of(picture: Record) -> str:
    return str(picture.get("caption") or picture.get("alt") or "")


def random_slots(task: Record) -> dict[str, int | None]:
    """Every picture anywhere."""
    draw = random.Random("random" + str(task["id"]))
    return {picture["image"]: draw.randint(0, len(task["text"])) for picture in task["bag"]}


def after_the_best_block(task: Record) -> dict[str, int | None]:
    """Every picture after the block whose words its caption shares most."""
    if not task["bag"]:
        return {}
    scores = _similarity([_said_of(p) for p in task["bag"]], [b["text"] for b in task["text"]])
    return {p["image"]: int(row.argmax()) + 1 for p, row in zip(task["bag"], scores, strict=True)}


def better_half(task: Record) -> dict[str, int | None]:
    """With distractors: the half of the bag that shares most words with a block, each after that block."""
    if not task["bag"]:
        return {}
    scores = _similarity([_said_of(p) for p in task["bag"]], [b["text"] for b in task["text"]])
    best = scores.max(axis=1)
    kept = set(np.argsort(-best, kind="stable")[: max(1, len(best) // 2)].tolist())
    return {p["image"]: int(scores[i].argmax()) + 1 if i in kept else None for i, p in enumerate(task["bag"])}


def most_similar_caption(tasks: Sequence[Record], captions: Mapping[str, str]) -> dict[str, list[str]]:
    """Query id → paths ranked by TF-IDF cosine of caption and before + after + heading + title."""
    paths = sorted(captions)
    queries = ["\n".join(t[part] for part in ("before", "after", "heading", "title")) for t in tasks]
    scores = _similarity(queries, [captions[path] for path in paths])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :50]
    return {task["id"]: [paths[i] for i in row] for task, row in zip(tasks, order, strict=True)}


def deepest_valleys(task: Record, count: int, width: int = 3) -> list[int]:
    """`count` boundaries (the true number, so easier than ours) where blocks before and after share fewest words."""
    texts = [block["text"] for block in task["text"]]
    n = len(texts)
    gaps = range(1, n)
    before = ["\n".join(texts[max(0, k - width) : k]) for k in gaps]
    after = ["\n".join(texts[k : k + width]) for k in gaps]
    shared = np.diag(_similarity(before, after))

    def depth(i: int) -> float:
        left, right = shared[max(0, i - width) : i + 1], shared[i : i + width + 1]
        return float(left.max() + right.max() - 2 * shared[i])

    order = sorted(range(len(shared)), key=lambda i: (-depth(i), i))
    return sorted(i + 1 for i in order[:count])
