"""Train topic: fits the few weights that tell where a new topic begins, and says how well they carry over.

    python -m evals.train_topic SET_DIR [--out agents/outlining/topic.json]

SET_DIR holds `articles.jsonl` in the format of the shared evaluation data. Printed first: every source left
out in turn, weights fitted on the others, measured on it. Then all sources are used for the model file.
How the data is made and what the weights mean: docs/topic.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from agents.context import Embedder
from agents.outlining.gap import MEASURES, measure_gaps
from agents.outlining.topic import TopicModel, boundary_gaps
from evals.articleset import read_lines
from evals.outline import TaskBlock
from evals.scores import score_outline
from evals.tasks import headings_of, outline_tasks

__all__ = ["Case", "fit_topic_model", "left_out_boundaries", "main", "measure_cases", "record_of"]

Table = NDArray[np.float64]

# Inverse strength of the L2 penalty on standardised measures.
REGULARISATION = 0.1
# Articles of the same length differ more in their number of sections than length explains, so the growth is
# slow; two numbers, chosen on a coarse grid by the left-out sources (docs/topic.md).
BOUNDARIES_AT_20_BLOCKS = 5.5
GROWTH = 0.3


@dataclass(frozen=True)
class Case:
    """One article, measured: its gaps and at which of them its author put a heading."""

    id: str
    source: str
    blocks: tuple[TaskBlock, ...]
    measures: Table  # (N - 1, M)
    is_boundary: Table  # (N - 1,)


def measure_cases(articles: Sequence[Mapping[str, Any]], embedder: Embedder) -> list[Case]:
    """The cases of a set: articles with enough headings and blocks, headings taken out."""
    by_id = {str(a["id"]): a for a in articles}
    cases = []
    for task in outline_tasks(articles):
        article = by_id[str(task["id"])]
        gold = {int(k) for k, _, _ in headings_of(article)[1]}
        blocks = tuple(TaskBlock(kind=str(b["type"]), text=str(b["text"])) for b in task["text"])
        cases.append(
            Case(
                id=str(task["id"]),
                source=str(article["source_repo"]),
                blocks=blocks,
                measures=measure_gaps(blocks, embedder),
                is_boundary=np.array([float(k in gold) for k in range(1, len(blocks))]),
            )
        )
    return cases


def fit_topic_model(cases: Sequence[Case]) -> TopicModel:
    """The model of some cases. An article weighs the same whatever its length, and a source grows in weight
    with the square root of its articles, so that no large source decides alone."""
    articles = Counter(case.source for case in cases)
    measures = np.concatenate([case.measures for case in cases])
    target = np.concatenate([case.is_boundary for case in cases])
    weight = np.concatenate(
        [np.full(len(c.is_boundary), 1 / len(c.is_boundary) / np.sqrt(articles[c.source])) for c in cases]
    )
    means, spreads = measures.mean(axis=0), measures.std(axis=0)
    spreads = np.where(spreads > 1e-9, spreads, 1.0)
    fitted = LogisticRegression(C=REGULARISATION, max_iter=1_000)
    fitted.fit((measures - means) / spreads, target, sample_weight=weight * len(weight) / weight.sum())
    return TopicModel(
        means=means,
        spreads=spreads,
        weights=np.asarray(fitted.coef_[0], dtype=np.float64),
        boundaries_at_20_blocks=BOUNDARIES_AT_20_BLOCKS,
        growth=GROWTH,
    )


def left_out_boundaries(cases: Sequence[Case], embedder: Embedder) -> dict[str, tuple[int, ...]]:
    """Article → its boundaries, by weights that were fitted without any article of its source."""
    found: dict[str, tuple[int, ...]] = {}
    for source in sorted({case.source for case in cases}):
        model = fit_topic_model([case for case in cases if case.source != source])
        for case in cases:
            if case.source == source:
                found[case.id] = boundary_gaps(case.blocks, embedder, model)
    return found


def record_of(model: TopicModel, trained_on: str) -> dict[str, Any]:
    """The model as the JSON record that `agents.outlining.topic.load_topic_model` reads."""
    return {
        "trained_on": trained_on,
        "boundaries_at_20_blocks": model.boundaries_at_20_blocks,
        "growth": model.growth,
        "measures": [
            {"measure": name, "mean": round(float(m), 6), "spread": round(float(s), 6), "weight": round(float(w), 4)}
            for name, m, s, w in zip(MEASURES, model.means, model.spreads, model.weights, strict=True)
        ],
    }


def main() -> None:
    """Train on a set, print the left-out numbers, write the model file."""
    from workers.settings import settings
    from workers.wiring import make_embedder

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("set_dir", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "agents" / "outlining" / "topic.json")
    options = parser.parse_args()
    articles = read_lines(options.set_dir / "articles.jsonl")
    embedder = make_embedder(settings())
    cases = measure_cases(articles, embedder)
    by_source = left_out_boundaries(cases, embedder)
    for source in sorted({case.source for case in cases}):
        own = [a for a in articles if a["source_repo"] == source]
        score = score_outline(own, by_source)
        print(f"left out {source}: {score}")
    print(f"left-one-source-out, all: {score_outline(articles, by_source)}")
    model = fit_topic_model(cases)
    fitted = {case.id: boundary_gaps(case.blocks, embedder, model) for case in cases}
    print(f"fitted on all, measured on the same: {score_outline(articles, fitted)}")
    trained_on = hashlib.sha256((options.set_dir / "articles.jsonl").read_bytes()).hexdigest()
    text = json.dumps(record_of(model, trained_on), indent=2, ensure_ascii=False) + "\n"
    options.out.write_text(text, encoding="utf-8")
    print(f"wrote {options.out.name}")


if __name__ == "__main__":
    main()
