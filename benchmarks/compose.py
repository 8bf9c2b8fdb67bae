"""Benchmark: composing an 800-word article with 40 candidate pictures against its embedding calls alone.

    python -m benchmarks.compose [--rounds 7] [--set ARTICLE_SET_DIR]

In one process, with the encoder loaded, rounds alternate between the embedding calls alone (recorded once,
replayed with a fresh memory) and ways of composing, each with a fresh memory:

- beyond the encoder: the workflow with every vector known before it starts
- workflow: the article graph with its SQLite checkpoints, the notes read and the pictures known
- in full: from files, with intake (40 pictures decoded, hashed and stored) to article.json
- in full, rendered: the same and the HTML page

The notes are made by this program, or, with --set, are real articles of a set. The goal is a ratio of at most
1.5. What favours us: notes are read once for all sections. What does not: nothing is kept between rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from langgraph.checkpoint.sqlite import SqliteSaver
from PIL import Image, ImageDraw

from agents.context import Context, Embedder, Vectors
from agents.excerpting import unit as unit_module
from agents.extractive import ExtractiveWriter
from agents.graph import MAX_CONCURRENCY, article_graph, checkpoint_serializer
from evals.articleset import read_articles
from evals.composing import NoPictures, as_markdown
from interleaf.schema import Article, Brief
from interleaf.text import count_words
from retrieval.vectors.embedder import TextEmbedder
from templates.press import export
from workers.composing import Composing
from workers.run.intake import Material, take_in
from workers.run.picture_shelf import PictureShelf
from workers.run.run_folder import RunFolder
from workers.settings import Settings

LENGTH_WORDS = 800
PICTURES = 40
NOTE_WORDS = 3 * LENGTH_WORDS
GOAL_RATIO = 1.5


class FreshMemory:
    """The loaded encoder with a memory of this run only; records what it is asked."""

    def __init__(self, loaded: TextEmbedder) -> None:
        self._loaded = loaded
        self._memory: dict[str, Vectors] = {}
        self.calls: list[list[str]] = []

    @property
    def name(self) -> str:
        return self._loaded.name

    @property
    def sha256(self) -> str:
        return self._loaded.sha256

    @property
    def dimension(self) -> int:
        return self._loaded.dimension

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(list(texts))
        new = [text for text in dict.fromkeys(texts) if text not in self._memory]
        if new:
            self._memory.update(zip(new, self._loaded.encode(new), strict=True))
        return np.stack([self._memory[text] for text in texts]) if texts else np.zeros((0, self.dimension), np.float32)


def made_notes() -> list[str]:
    """Notes on a valley's mills: plain sentences with different words, some leaning on the one before."""
    rivers = ["Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gorse", "Hazel"]
    things = [
        "wheel",
        "dam",
        "sluice",
        "pond",
        "millstone",
        "granary",
        "bridge",
        "towpath",
        "weir",
        "shaft",
        "hopper",
        "bell",
    ]
    acts = [
        "was repaired with oak",
        "was measured by a clerk",
        "failed in a flood",
        "carried the flour of four parishes",
    ]
    ends = ["before the harvest", "after a hard winter", "in the year of the comet", "while the miller was away"]
    notes = []
    for n, river in enumerate(rivers):
        lines = [f"# The mill on the {river}", ""]
        for part, thing in enumerate(things[n % 3 :: 3]):
            lines += [f"## Its {thing}", ""]
            for k in range(3):
                year = 1700 + 31 * n + 7 * part + k
                lines += [
                    f"The {thing} of the {river} mill {acts[(n + part + k) % 4]} {ends[(n * part + k) % 4]} of {year}. "
                    f"It took {k + 3} men and {n + part + 2} days of low water. Nobody in the village of {river}ford "
                    f"had seen such a {things[(n + k) % 12]} before. However, the bill of {year % 89 + 4} crowns was "
                    f"paid only in {year + 2}, by the owner of the {things[(part + 5 * k) % 12]} downstream.",
                    "",
                ]
        notes.append("\n".join(lines))
    return notes


def set_notes(folder: Path) -> list[str]:
    """Articles of the set's first source, as many as hold enough words."""
    articles = read_articles(folder)
    notes: list[str] = []
    for article in articles:
        if article.source == articles[0].source and sum(map(count_words, notes)) < NOTE_WORDS:
            notes.append(as_markdown(article))
    return notes


def lay_out(folder: Path, notes: Sequence[str]) -> Brief:
    """Notes and drawn pictures as files; captions are sentences of the notes, so that they fit somewhere."""
    (folder / "notes").mkdir()
    (folder / "pictures").mkdir()
    for k, note in enumerate(notes):
        (folder / "notes" / f"{k:03}.md").write_text(note, encoding="utf-8")
    sentences = [line.split(". ")[0] for note in notes for line in note.split("\n") if len(line.split()) > 12]
    captions: dict[str, dict[str, str]] = {}
    draw_from = np.random.default_rng(5)
    for k in range(PICTURES):
        noise = draw_from.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC)
        ImageDraw.Draw(picture).rectangle((20 + 9 * k, 40, 200 + 9 * k, 300), outline="white", width=5)
        picture.save(folder / "pictures" / f"p{k:02}.jpg", quality=85)
        captions[f"p{k:02}.jpg"] = {"caption": sentences[k * len(sentences) // PICTURES][:300], "licence": "CC0-1.0"}
    (folder / "pictures" / "manifest.json").write_text(json.dumps(captions), encoding="utf-8")
    return Brief.model_validate(
        {
            "instruction": "What became of the valley's mills, their wheels and their dams",
            "sources": [str(folder / "notes")],
            "pictures": [str(folder / "pictures")],
            "length_words": LENGTH_WORDS,
            "language": "en",
        }
    )


class Bench:
    """Everything that the rounds share: the loaded encoder, the files, the recorded calls."""

    def __init__(self, folder: Path, notes: Sequence[str]) -> None:
        self.folder = folder
        self.brief = lay_out(folder, notes)
        self.settings = Settings(home=folder / "home")
        self.loaded = TextEmbedder(remembered_texts=0)
        self.loaded.encode(["load the weights"])
        self.material = self._take_in()
        self.runs = 0
        recorder = FreshMemory(self.loaded)
        self.article = self.workflow(recorder)
        self.calls = recorder.calls
        self._known = recorder

    def _take_in(self) -> Material:
        run = RunFolder.at(self.folder / "material", "material")
        run.create()
        most = self.settings.max_source_mb * 2**20
        return take_in(self.brief, self.folder, run, max_source_bytes=most, max_pictures=self.settings.max_pictures)

    def _fresh(self) -> RunFolder:
        # Units of notes are kept between sections of a run; a new run starts without them.
        unit_module.forget_notes()
        self.runs += 1
        return RunFolder.at(self.folder / "runs", f"run-{self.runs}")

    def embedding(self) -> None:
        replayed = FreshMemory(self.loaded)
        for texts in self.calls:
            replayed.encode(texts)

    def workflow(self, embedder: Embedder | None = None) -> Article:
        run = self._fresh()
        run.create()
        context = Context(
            writer=ExtractiveWriter(embedder or FreshMemory(self.loaded)),
            finder=NoPictures(),
            sources=self.material.sources,
            candidates=self.material.candidates,
        )
        with closing(sqlite3.connect(run.checkpoints_path, check_same_thread=False)) as connection:
            graph = article_graph(SqliteSaver(connection, serde=checkpoint_serializer()))
            config: Any = {"configurable": {"thread_id": "b"}, "max_concurrency": MAX_CONCURRENCY}
            article: Article = graph.invoke({"brief": self.brief}, config, context=context, durability="sync")[
                "article"
            ]
        return article

    def beyond_encoder(self) -> None:
        """The workflow when every vector is known already."""
        self.workflow(self._known)

    def in_full(self) -> tuple[RunFolder, Article]:
        run = self._fresh()
        composing = Composing(run, self.settings, writer=ExtractiveWriter(FreshMemory(self.loaded)))
        for _ in composing.stream(self.brief, self.folder):
            pass
        assert composing.article is not None
        return run, composing.article

    def rendered(self) -> None:
        run, article = self.in_full()
        export(article, PictureShelf(run, self.settings.library_dir), "html", run.path / "out", "paper")


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--set", type=Path, dest="set_dir", help="an article set whose first source gives the notes")
    options = parser.parse_args()
    notes = set_notes(options.set_dir) if options.set_dir else made_notes()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), notes)
        ways: dict[str, Callable[[], object]] = {
            "beyond the encoder": bench.beyond_encoder,
            "workflow": bench.workflow,
            "in full": bench.in_full,
            "in full, rendered": bench.rendered,
        }
        alone: dict[str, list[float]] = {way: [] for way in ways}
        took: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, work in ways.items():
                alone[way].append(seconds(bench.embedding))
                took[way].append(seconds(work))
        report = bench.article.report
        print(
            f"{platform.machine()}, Python {platform.python_version()}, torch {version('torch')}; notes "
            f"{sum(map(count_words, notes))} words, article {report.words} words, "
            f"{report.pictures_placed} of {PICTURES} pictures placed; "
            f"{len(bench.calls)} embedding calls with {len({t for call in bench.calls for t in call})} distinct texts"
        )
        print("| composing | s | embedding alone s | ratio (median of rounds) | goal |\n|---|---|---|---|---|")
        for way in ways:
            ratio = statistics.median(t / e for t, e in zip(took[way], alone[way], strict=True))
            print(
                f"| {way} | {statistics.median(took[way]):.3f} | {statistics.median(alone[way]):.3f} | {ratio:.2f} | "
                f"{GOAL_RATIO} {'met' if ratio <= GOAL_RATIO else 'missed'} |"
            )


if __name__ == "__main__":
    main()
