"""`interleaf eval outline`: predictions in the shared format, by the workflow's own segmentation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.outline import run
from evals.scores import score_outline
from evals.tasks import headings_of, outline_tasks
from evals.train_topic import fit_topic_model, left_out_boundaries, measure_cases, record_of
from interleaf.errors import SourceUnreadable
from tests.fakes import HashingEmbedder

DEV = Path(__file__).parents[2].parent / "shared" / "eval" / "dev" / "articles.jsonl"


def _task(name: str) -> dict[str, object]:
    subjects = ["The dam of clay leaks water.", "Bread is baked of flour.", "Bees carry honey home."]
    text = [{"type": "paragraph", "text": f"{s} Year {k}."} for s in subjects for k in range(4)]
    return {"id": name, "lang": "en", "title": "Country life", "text": text}


def test_predictions_have_the_shared_format(tmp_path: Path) -> None:
    given, out = tmp_path / "in.jsonl", tmp_path / "deep" / "out.jsonl"
    given.write_text("".join(json.dumps(_task(n)) + "\n" for n in ("a", "b")), encoding="utf-8")
    assert run(given, out, HashingEmbedder()) == 2
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == ["a", "b"]
    assert lines[0]["headings"] == lines[1]["headings"]
    for k, level, text in lines[0]["headings"]:
        assert 0 < k < 12 and level == 2 and isinstance(text, str) and text
    assert {4, 8} <= {k for k, _, _ in lines[0]["headings"]}
    assert list(tmp_path.glob("deep/*.part")) == []


def test_a_line_that_is_no_task_is_refused_by_name_and_nothing_is_written(tmp_path: Path) -> None:
    given, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    given.write_text(json.dumps({"id": "odd", "title": "x", "lang": "en"}) + "\n", encoding="utf-8")
    with pytest.raises(SourceUnreadable, match="odd"):
        run(given, out, HashingEmbedder())
    assert not out.exists()


@pytest.mark.skipif(not DEV.exists(), reason="the shared evaluation data is not here")
def test_left_out_sources_are_segmented_better_than_by_chance() -> None:
    """With an encoder that only hashes words; the real numbers are in docs/quality.md."""
    articles = [json.loads(line) for line in DEV.read_text(encoding="utf-8").splitlines()]
    articles = [a for k, a in enumerate(articles) if k % 3 == 0]
    embedder = HashingEmbedder()
    cases = measure_cases(articles, embedder)
    score = score_outline(articles, left_out_boundaries(cases, embedder))
    count = {a["id"]: len(headings_of(a)[0]) for a in articles}
    spread = {t["id"]: tuple(range(3, count[t["id"]], 3)) for t in outline_tasks(articles)}
    by_rule = score_outline(articles, spread)
    assert score.articles == by_rule.articles >= 25
    assert score.boundary_f1 > by_rule.boundary_f1 + 0.05 and score.pk < by_rule.pk - 0.05
    record = record_of(fit_topic_model(cases), "a third of dev")
    assert record["measures"][0]["measure"] == "topic_votes" and record["measures"][0]["weight"] > 0
