"""Report: every quality number of a set in one table, beside its baselines and targets.

Where something was trained on this very set, its numbers are leave-one-source-out: fitted on the other
sources, measured on the one left out. On any other set the shipped weights are measured.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table as RichTable

from agents.context import Embedder
from agents.extractive import ExtractiveWriter
from evals import baselines, composing, outline, placement, retrieval, scores, tasks, train_placement, train_topic
from evals.articleset import picture_of, read_articles, read_lines
from interleaf.whole_file import write_whole

__all__ = ["Row", "report"]

Record = Mapping[str, Any]
Placements = dict[str, dict[str, int | None]]
MODEL_DIR = Path(__file__).resolve().parents[1] / "agents"


@dataclass(frozen=True)
class Row:
    """One measure: ours, the best simple baseline on the same tasks in the same run, the target."""

    measure: str
    ours: str
    baseline: str
    target: str
    how: str


def report(set_dir: Path, out: Path | None = None, *, quick: bool = False) -> list[Row]:
    """Measure the set in `set_dir` (articles.jsonl and images/), print the table, write it to `out` as Markdown."""
    from workers.settings import settings
    from workers.wiring import make_embedder

    articles = read_lines(set_dir / "articles.jsonl")
    embedder: Embedder = make_embedder(settings())
    digest = hashlib.sha256((set_dir / "articles.jsonl").read_bytes()).hexdigest()
    steps: list[tuple[str, Callable[[], list[Row]]]] = [
        ("placement", lambda: _placement_rows(set_dir, articles, embedder, digest)),
        ("retrieval", lambda: _retrieval_rows(set_dir, articles)),
        ("outline", lambda: _outline_rows(articles, embedder, digest)),
    ]
    if not quick:
        steps.append(("length and provenance", lambda: _composing_rows(set_dir, embedder)))
    rows: list[Row] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("measuring", total=len(steps))
        for name, step in steps:
            progress.update(bar, description=name)
            rows += step()
            progress.advance(bar)
    title = f"{set_dir.name}: {len(articles)} articles, {sum(len(tasks.split_blocks(a)[1]) for a in articles)} pictures"
    _print(title, rows)
    if out is not None:
        write_whole(out, _markdown(title, rows).encode())
    return rows


def _trained_here(model: str, digest: str) -> bool:
    """Whether a shipped model was fitted on the set with this hash of its articles.jsonl."""
    record = json.loads((MODEL_DIR / model).read_text(encoding="utf-8"))
    return bool(record["trained_on"] == digest)


def _placement_rows(set_dir: Path, articles: Sequence[Record], embedder: Embedder, digest: str) -> list[Row]:
    plain = tasks.placement_tasks(articles)
    mixed = tasks.placement_tasks(articles, distractors=1, scope="repo")
    looks = placement.read_looks(set_dir, (p["image"] for task in plain for p in task["bag"]))
    left_out = _trained_here("placing/ranker.json", digest)
    shipped: placement.Eye = ExtractiveWriter(embedder)
    writers: dict[str, placement.Eye] = {}
    if left_out:
        by_id = {picture_of({"image": path}, "image").id: look for path, look in looks.items()}
        rankers = train_placement.left_out_rankers(read_articles(set_dir), embedder, by_id)
        writers = {source: placement.LeftOutWriter(embedder, ranker) for source, ranker in rankers.items()}
    source_of = {article["id"]: article["source_repo"] for article in articles}

    def ours(asked: Sequence[dict[str, Any]]) -> Placements:
        return {t["id"]: placement.place(t, writers.get(source_of[t["id"]], shipped), looks)["place"] for t in asked}

    def simple(asked: Sequence[dict[str, Any]], answer: Callable[[Record], dict[str, int | None]]) -> Placements:
        return {t["id"]: answer(t) for t in asked}

    how = "one source left out" if left_out else "as shipped"
    found = scores.score_placement(articles, ours(plain))
    base = scores.score_placement(articles, simple(plain, baselines.after_the_best_block))
    rows = [
        Row("put the picture back: exact slot", f"{found.exact:.3f}", f"{base.exact:.3f}", "≥ 0.38", how),
        Row("… within one block", f"{found.within_one:.3f}", f"{base.within_one:.3f}", "≥ 0.60", how),
        Row("… normalised distance", f"{found.distance:.3f}", f"{base.distance:.3f}", "≤ 0.12", how),
    ]
    found = scores.score_placement(articles, ours(mixed))
    base = scores.score_placement(articles, simple(mixed, baselines.better_half))
    return [
        *rows,
        Row(
            "with distractors: precision of placed",
            f"{found.precision_of_placed:.3f}",
            f"{base.precision_of_placed:.3f}",
            "≥ 0.88",
            how,
        ),
        Row("… recall of own", f"{found.recall_of_own:.3f}", f"{base.recall_of_own:.3f}", "≥ 0.88", how),
    ]


def _retrieval_rows(set_dir: Path, articles: Sequence[Record]) -> list[Row]:
    asked = tasks.retrieval_tasks(articles)
    with tempfile.TemporaryDirectory() as folder:
        source, found = Path(folder) / "tasks.jsonl", Path(folder) / "found.jsonl"
        source.write_text("".join(json.dumps(t, ensure_ascii=False) + "\n" for t in asked), encoding="utf-8")
        retrieval.run(source, set_dir, set_dir / "articles.jsonl", found)
        ours = scores.score_retrieval(articles, {r["id"]: r["ranked"] for r in read_lines(found)})
    captions = {p["image_path"]: p["caption"] for a in articles for p in tasks.split_blocks(a)[1] if p["caption"]}
    base = scores.score_retrieval(articles, baselines.most_similar_caption(asked, captions))
    return [
        Row("picture retrieval: R@1", f"{ours.recall_at_1:.3f}", f"{base.recall_at_1:.3f}", "≥ 0.54", "as shipped"),
        Row("… R@10", f"{ours.recall_at_10:.3f}", f"{base.recall_at_10:.3f}", "≥ 0.88", "as shipped"),
    ]


def _outline_rows(articles: Sequence[Record], embedder: Embedder, digest: str) -> list[Row]:
    asked = tasks.outline_tasks(articles)
    left_out = _trained_here("outlining/topic.json", digest)
    found: Mapping[str, Sequence[int]]
    if left_out:
        found = train_topic.left_out_boundaries(train_topic.measure_cases(articles, embedder), embedder)
    else:
        found = {t["id"]: [k for k, _, _ in outline.predict(t, embedder)["headings"]] for t in asked}
    ours = scores.score_outline(articles, found)
    true_count = {a["id"]: len({k for k, _, _ in tasks.headings_of(a)[1] if k > 0}) for a in articles}
    base = scores.score_outline(articles, {t["id"]: baselines.deepest_valleys(t, true_count[t["id"]]) for t in asked})
    how = "one source left out" if left_out else "as shipped"
    return [
        Row("outline: boundary F1", f"{ours.boundary_f1:.3f}", f"{base.boundary_f1:.3f} (number given)", "≥ 0.47", how),
        Row("… Pk", f"{ours.pk:.3f}", f"{base.pk:.3f} (number given)", "≤ 0.36", how),
    ]


def _composing_rows(set_dir: Path, embedder: Embedder) -> list[Row]:
    found = composing.run(set_dir, embedder=embedder)
    rows = []
    for wanted in sorted({row.wanted for row in found}):
        some = [row for row in found if row.wanted == wanted]
        mean = sum(row.length_score for row in some) / len(some)
        rows.append(Row(f"length obedience S_l at {wanted} words", f"{mean:.1f}", "", "≥ 95", f"{len(some)} pieces"))
    sentences = sum(row.sentences for row in found)
    copied = sum(row.sentences_copied for row in found)
    rows.append(
        Row(
            "sentences copied exactly from a valid span",
            f"{100 * copied / max(1, sentences):.2f} %",
            "",
            "100 %",
            f"{sentences} sentences",
        )
    )
    return rows


def _print(title: str, rows: Sequence[Row]) -> None:
    table = RichTable("measure", "ours", "simple baseline", "target", "how", title=title, title_justify="left")
    for row in rows:
        table.add_row(row.measure, row.ours, row.baseline, row.target, row.how)
    Console(width=120).print(table)


def _markdown(title: str, rows: Sequence[Row]) -> str:
    lines = [f"**{title}**", "", "| measure | ours | simple baseline | target | how |", "|---|---|---|---|---|"]
    lines += [f"| {r.measure} | {r.ours} | {r.baseline} | {r.target} | {r.how} |" for r in rows]
    return "\n".join(lines) + "\n"
