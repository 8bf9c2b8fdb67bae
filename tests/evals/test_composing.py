"""The measure of composing: it finds what it claims to find, and the writer reaches its goals on real input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.extractive import ExtractiveWriter
from agents.notes.document import read_document
from evals.articleset import read_articles
from evals.composing import MATERIAL_RATIO, copied_share, make_tasks, measure, render_rows, run
from interleaf.schema import Paragraph, Provenance, SourceSpan, Support
from interleaf.text import count_words
from tests.agents.own_notes import NOTES, as_source
from tests.fakes import HashingEmbedder

SHARED = Path(__file__).parents[2].parent / "shared" / "eval" / "dev"


@pytest.fixture
def own_set(tmp_path: Path) -> Path:
    """Our own notes as an article set: one source with all of them, and one too small for any task."""
    lines = []
    for language, text in [*sorted(NOTES.items()), ("en", "# Alone\n\nA word.\n")]:
        source = "own/notes" if text in NOTES.values() else "own/small"
        blocks = [
            {"type": b.kind if b.kind in ("heading", "list", "code") else "paragraph", "text": b.text, "level": 2}
            for b in read_document(as_source(text)).blocks
        ]
        lines.append(
            {"id": f"{source}-{language}", "source_repo": source, "lang": language}
            | {"title": blocks[0]["text"], "blocks": blocks[1:]}
        )
    (tmp_path / "articles.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return tmp_path


def test_bundles_hold_enough_and_no_article_twice(own_set: Path) -> None:
    tasks = list(make_tasks(read_articles(own_set), (100, 200), most=3))
    assert {task.wanted for task in tasks} == {100, 200}
    assert {task.source for task in tasks} == {"own/notes"}
    for wanted in (100, 200):
        of_length = [task for task in tasks if task.wanted == wanted]
        assert len(of_length) <= 3
        names = [note.id for task in of_length for note in task.notes]
        assert len(names) == len(set(names))
        for task in of_length:
            assert sum(count_words(note.text) for note in task.notes) >= MATERIAL_RATIO * wanted


def test_rows_are_measured_written_and_shown(own_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    rows = run(own_set, out, embedder=HashingEmbedder(), lengths=(150,), most=2)
    assert len(rows) == 2
    written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["words"] for line in written] == [row.words for row in rows]
    assert all(row.copied_share == 1.0 and row.sentences > 3 for row in rows)
    assert all(row.length_score > 0 and row.words > 50 and row.material_words >= 450 for row in rows)
    assert render_rows(rows).splitlines()[-1].startswith("| 150 | all | 2 |")


def test_a_changed_word_a_wrong_span_and_a_missing_span_are_found() -> None:
    source = as_source("The mill was built in 1761. It took the sea as its miller's boy.\n")

    def share(text: str, *supports: tuple[int, int, int, int]) -> tuple[int, int]:
        made = tuple(
            Support(start=a, end=b, spans=(SourceSpan(source_id=source.id, start=c, end=d),)) for a, b, c, d in supports
        )
        block = Paragraph(id="b-1", text=text, provenance=Provenance(origin="source", supports=made))
        return copied_share([block], [source], "en")

    both = "The mill was built in 1761. It took the sea as its miller's boy."
    assert share(both, (0, 27, 0, 27), (28, 64, 28, 64)) == (2, 2)
    assert share(both, (0, 27, 0, 27)) == (1, 2), "a sentence without a support"
    assert share(both.replace("built", "burnt"), (0, 27, 0, 27), (28, 64, 28, 64)) == (1, 2), "a changed word"
    assert share(both, (0, 27, 1, 28), (28, 64, 28, 64)) == (1, 2), "a span beside the sentence"
    assert share(both, (0, 20, 0, 20), (28, 64, 28, 64)) == (1, 2), "half a sentence"
    other = copied_share(
        [
            Paragraph(
                id="b-1",
                text="The mill.",
                provenance=Provenance(
                    origin="source",
                    supports=(Support(start=0, end=9, spans=(SourceSpan(source_id="s-gone", start=0, end=9),)),),
                ),
            )
        ],
        [source],
        "en",
    )
    assert other == (0, 1), "a source that is not there"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared evaluation data is not beside the repository")
def test_the_goals_are_met_on_real_articles_even_with_a_poor_encoder() -> None:
    writer = ExtractiveWriter(HashingEmbedder())
    rows = [measure(task, writer) for task in make_tasks(read_articles(SHARED), (300, 800), most=1)]
    assert len(rows) >= 10
    assert sum(row.length_score for row in rows) / len(rows) >= 95
    assert all(row.sentences_copied == row.sentences > 0 for row in rows)
    assert max(row.repeated_5grams_share for row in rows) < 0.08
