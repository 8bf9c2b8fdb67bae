"""Outline: where headings belong. The workflow's own topic segmentation on tasks without answers.

Input, one article a line: `{id, lang, title, text: [{type, text}]}`, headings taken out. Output:
`{id, headings: [[k, level, text], …]}`, a heading before block k.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.context import Embedder
from agents.outlining.topic import segment
from evals.articleset import read_lines
from interleaf.errors import SourceUnreadable
from interleaf.whole_file import write_whole

__all__ = ["TaskBlock", "predict", "run"]


@dataclass(frozen=True)
class TaskBlock:
    """A block of a task, as segmentation reads it."""

    kind: str
    text: str


def predict(record: dict[str, Any], embedder: Embedder) -> dict[str, Any]:
    """The prediction for one task."""
    try:
        blocks = tuple(TaskBlock(kind=str(b["type"]), text=str(b["text"])) for b in record["text"])
        name, title, language = str(record["id"]), str(record["title"]), str(record["lang"])
    except (KeyError, TypeError) as error:
        raise SourceUnreadable(
            str(record.get("id", "?")), f"is not an outline task ({error!r}).", "Make tasks with tasks.py make."
        ) from error
    found = segment(blocks, title, language, embedder)
    return {"id": name, "headings": [[b.k, b.level, b.heading] for b in found]}


def run(in_path: Path, out_path: Path, embedder: Embedder | None = None) -> int:
    """Segment every task of `in_path` and write the predictions; the number of tasks. Nothing half-written stays."""
    if embedder is None:
        # Wiring knows the encoders; whoever brings an embedder need not load them.
        from workers.settings import settings
        from workers.wiring import make_embedder

        embedder = make_embedder(settings())
    lines = [json.dumps(predict(r, embedder), ensure_ascii=False, sort_keys=True) for r in read_lines(in_path)]
    write_whole(out_path, "".join(line + "\n" for line in lines).encode())
    return len(lines)
