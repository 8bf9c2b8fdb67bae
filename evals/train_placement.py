"""Train placement: fits the ranker's few weights on illustrated articles, and says how well they carry over.

    python -m evals.train_placement SET_DIR [--out agents/placing/ranker.json]

SET_DIR holds `articles.jsonl` (see `evals/articleset.py`). Printed first: every source left out in turn,
weights fitted on the others, measured on it. Then all sources are used for the model file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.context import Candidate, ChooseTask, Embedder, SpotTask
from agents.placing.belonging import BAG_SIGNS, COMPANY, SIGNS, Belonging
from agents.placing.evidence import FEATURES, HABITS, evidence, habits, slot_view
from agents.placing.placement import choose_pictures, spot_places
from agents.placing.ranker import FORMAT, MODEL_PATH, Ranker
from agents.words.similarity import fused, measure
from evals.articleset import IllustratedArticle, read_articles
from evals.bag import Bag, fit_belonging, measure_bags
from evals.logit import fit_logit
from evals.placement import read_looks
from interleaf.errors import Unsupported
from workers.settings import settings
from workers.wiring import make_embedder

__all__ = ["Case", "fit_ranker", "left_out_rankers", "measure_bags", "measure_case", "record_of"]

Table = NDArray[np.float64]

# Strength of the pull of every weight towards zero (L2), chosen by the left-out sources.
FEATURE_PULL = 0.1
HABIT_PULL = 10.0
WORDLESS_HABIT_PULL = 0.1


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


def left_out_rankers(
    articles: Sequence[IllustratedArticle], embedder: Embedder, looks: Mapping[str, tuple[float, ...]] | None = None
) -> dict[str, Ranker]:
    """Source → the ranker trained on all other sources: the only honest one for numbers on these articles.
    Unsupported when there are fewer than two sources."""
    sources = sorted({a.source for a in articles})
    if len(sources) < 2:
        raise Unsupported("leave-one-source-out", f"the set has {len(sources)} source.", "Give a set of several.")
    cases = [measure_case(a, embedder) for a in articles]
    bags = measure_bags(articles, embedder, looks)
    return {
        source: fit_ranker([c for c in cases if c.article.source != source], [b for b in bags if b.source != source])
        for source in sources
    }


def record_of(ranker: Ranker, trained_on: str) -> dict[str, object]:
    """The ranker as the JSON record that `agents.placing.ranker.read_ranker` reads."""

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


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on a set, print leave-one-source-out placement of its own pictures, write the model file."""
    parser = argparse.ArgumentParser(prog="python -m evals.train_placement", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("set_dir", type=Path, help="folder with articles.jsonl and images/")
    parser.add_argument("--out", type=Path, default=MODEL_PATH, help="model file to write")
    given = parser.parse_args(arguments)
    articles = read_articles(given.set_dir)
    embedder = make_embedder(settings())
    looks_by_path = read_looks(given.set_dir / "images", (path for a in articles for path in a.image_paths))
    looks = {p.id: looks_by_path[path] for a in articles for p, path in zip(a.pictures, a.image_paths, strict=True)}
    held_out = left_out_rankers(articles, embedder, looks)
    print(f"{'left out':60s} pictures  exact  within 1  distance")
    total: list[tuple[float, float, float]] = []
    for source, ranker in held_out.items():
        rows = [row for a in articles if a.source == source for row in _outcomes(a, ranker, looks, embedder)]
        total += rows
        print(_table_row(source, rows))
    print(_table_row("all", total))
    ranker = fit_ranker([measure_case(a, embedder) for a in articles], measure_bags(articles, embedder, looks))
    name = hashlib.sha256((given.set_dir / "articles.jsonl").read_bytes()).hexdigest()
    text = json.dumps(record_of(ranker, name), indent=1) + "\n"
    aside = given.out.with_name(given.out.name + ".part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(given.out)
    print(f"wrote {given.out}")


def _outcomes(
    article: IllustratedArticle, ranker: Ranker, looks: Mapping[str, tuple[float, ...]], embedder: Embedder
) -> list[tuple[float, float, float]]:
    """(exact, within one, distance) of each picture; one that is left out is a full length away."""
    task = SpotTask(title=article.title, language=article.language, blocks=article.blocks, pictures_wanted=None)
    choices = choose_pictures(
        ChooseTask(
            title=article.title,
            language=article.language,
            blocks=article.blocks,
            places=spot_places(task),
            candidates=tuple(Candidate(picture=p, look=looks.get(p.id, ())) for p in article.pictures),
            pictures_wanted=None,
        ),
        embedder,
        ranker,
    )
    found = {choice.picture_id: choice.slot for choice in choices}
    n_blocks = max(1, len(article.blocks))
    rows = []
    for picture, slots in zip(article.pictures, article.slots, strict=True):
        slot = found.get(picture.id)
        off = n_blocks if slot is None else min(abs(slot - s) for s in slots)
        rows.append((float(off == 0), float(off <= 1), off / n_blocks))
    return rows


def _table_row(name: str, rows: Sequence[tuple[float, float, float]]) -> str:
    exact, near, distance = np.mean(rows, axis=0)
    return f"{name:60s} {len(rows):8d}  {exact:.3f}  {near:8.3f}  {distance:8.3f}"


if __name__ == "__main__":
    main()
