"""A run of the article graph in a process of its own, slow enough to be killed anywhere.

Usage: run_graph.py FOLDER SEED   (checkpoints.db, calls.log and, at the end, article.json in FOLDER)
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from pathlib import Path

from langgraph.checkpoint.sqlite import SqliteSaver

from agents.context import Candidate, Context, DraftTask
from agents.graph import MAX_CONCURRENCY, article_graph, checkpoint_serializer
from interleaf.schema import Brief, SourceText, TextBlock
from tests.fakes import MemoryFinder, ParrotWriter, make_picture
from workers.run.source_file import source_id

SUBJECTS = ("bees", "tides", "locks", "kites", "salt", "glass", "bells", "ferns")


def sources() -> tuple[SourceText, ...]:
    texts = [f"All about {s}. They are old.\n\nMore about {s} and their makers." for s in SUBJECTS]
    return tuple(SourceText(id=source_id(t), name=s, text=t) for s, t in zip(SUBJECTS, texts, strict=True))


class SlowParrot(ParrotWriter):
    """Takes its time and writes down each section that it drafts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def draft(self, task: DraftTask) -> tuple[TextBlock, ...]:
        time.sleep(0.03)
        with (self.folder / "calls.log").open("a", encoding="utf-8") as log:
            log.write(f"{task.section_index}\n")
        return super().draft(task)


def context(folder: Path) -> Context:
    pictures = [make_picture(f"{s}.png", f"A picture of {s}") for s in SUBJECTS]
    return Context(
        writer=SlowParrot(folder),
        finder=MemoryFinder(pictures[4:]),
        sources=sources(),
        candidates=tuple(Candidate(p) for p in pictures[:4]),
        searches=True,
        interleaf_version="test",
        brief_sha256="test",
    )


def main(folder: Path, seed: int) -> None:
    connection = sqlite3.connect(folder / "checkpoints.db", check_same_thread=False)
    graph = article_graph(SqliteSaver(connection, serde=checkpoint_serializer()))
    config = {"configurable": {"thread_id": "run"}, "max_concurrency": MAX_CONCURRENCY}
    begun = graph.get_state(config).created_at is not None
    entry = None if begun else {"brief": Brief(instruction="Write it all down.", seed=seed, language="en")}
    noise = random.Random(time.time_ns())
    for _ in graph.stream(entry, config, context=context(folder), stream_mode="updates", durability="sync"):
        time.sleep(noise.random() * 0.02)
    article = graph.get_state(config).values["article"]
    (folder / "article.json").write_text(article.model_dump_json(indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
