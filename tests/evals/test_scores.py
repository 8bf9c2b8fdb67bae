"""Our tasks and scores are those of the shared program, to the letter and to the digit it prints."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evals import scores, tasks

EVAL = Path(__file__).resolve().parents[2].parent / "shared" / "eval"
pytestmark = pytest.mark.skipif(not (EVAL / "tasks.py").is_file(), reason="the shared evaluation data is absent")


@pytest.fixture(scope="module")
def articles() -> list[dict[str, Any]]:
    lines = (EVAL / "dev" / "articles.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def _shared(*arguments: str) -> str:
    command = [sys.executable, str(EVAL / "tasks.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {}),
        (("--captions", "no"), {"captions": False}),
        (("--distractors", "1", "--scope", "repo"), {"distractors": 1, "scope": "repo"}),
        (("--distractors", "1"), {"distractors": 1}),
    ],
)
def test_placement_tasks_are_the_shared_ones(
    articles: list[dict[str, Any]], arguments: tuple[str, ...], options: dict[str, Any]
) -> None:
    shared = [json.loads(line) for line in _shared("make", "dev", "placement", *arguments).splitlines()]
    assert tasks.placement_tasks(articles, **options) == shared


def test_retrieval_and_outline_tasks_are_the_shared_ones(articles: list[dict[str, Any]]) -> None:
    shared = [json.loads(line) for line in _shared("make", "dev", "retrieval").splitlines()]
    assert tasks.retrieval_tasks(articles) == shared
    shared = [json.loads(line) for line in _shared("make", "dev", "outline").splitlines()]
    assert tasks.outline_tasks(articles) == shared


def _write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def _numbers(line: str) -> list[float]:
    return [float(n) for n in re.findall(r"=(\d+(?:\.\d+)?)", line)]


def test_scores_are_the_shared_ones(articles: list[dict[str, Any]], tmp_path: Path) -> None:
    draw = random.Random(5)
    rows = []
    for task in tasks.placement_tasks(articles, distractors=1):
        n = len(task["text"])
        rows.append(
            {"id": task["id"], "place": {p["image"]: draw.choice([None, draw.randint(0, n)]) for p in task["bag"]}}
        )
    ours = scores.score_placement(articles, {row["id"]: row["place"] for row in rows})
    said = _numbers(_shared("score", "dev", "placement", _write(tmp_path / "p", rows)).splitlines()[0])
    assert said == [
        ours.pictures,
        *(
            round(x, 3)
            for x in (ours.exact, ours.within_one, ours.distance, ours.precision_of_placed, ours.recall_of_own)
        ),
    ]

    paths = [p["image_path"] for a in articles for p in tasks.split_blocks(a)[1]]
    rows = [{"id": t["id"], "ranked": draw.sample(paths, 30)} for t in tasks.retrieval_tasks(articles)]
    found = scores.score_retrieval(articles, {row["id"]: row["ranked"] for row in rows})
    said = _numbers(
        _shared("score", "dev", "retrieval", _write(tmp_path / "r", rows)).splitlines()[0].replace("R@", "")
    )
    expected = (found.recall_at_1, found.recall_at_10, found.mean_reciprocal_rank)
    assert said[0] == found.queries
    assert said[1:] == [round(x, 3) for x in expected]

    rows = []
    for task in tasks.outline_tasks(articles):
        picked = sorted(draw.sample(range(len(task["text"])), 3))
        rows.append({"id": task["id"], "headings": [[k, 2, "x"] for k in picked]})
    outline = scores.score_outline(articles, {row["id"]: [h[0] for h in row["headings"]] for row in rows})
    line = _shared("score", "dev", "outline", _write(tmp_path / "o", rows))
    assert f"articles={outline.articles} boundary F1 macro={outline.boundary_f1:.3f}" in line
    assert f"Pk={outline.pk:.3f}" in line


def test_the_ends_of_the_scale(articles: list[dict[str, Any]]) -> None:
    gold = {a["id"]: {p["image_path"]: p["slot"] for p in tasks.split_blocks(a)[1]} for a in articles}
    assert scores.score_placement(articles, gold).exact == 1.0
    assert scores.score_placement(articles, {}).distance == 1.0
    truth = {a["id"]: [k for k, _, _ in tasks.headings_of(a)[1]] for a in articles}
    perfect = scores.score_outline(articles, truth)
    assert (perfect.boundary_f1, perfect.pk) == (1.0, 0.0)
