"""`eval retrieval` makes a real library, asks it as the product does, and writes answers in the tasks' order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from evals.retrieval import run
from interleaf.errors import SourceUnreadable
from tests.fakes import HashingEmbedder

CAPTIONS = {"images/a.jpg": "A grey heron", "images/b.jpg": "The old lighthouse", "images/c.jpg": "A diesel engine"}


def make_set(folder: Path, **blocks: Any) -> None:
    (folder / "images").mkdir()
    pictures = []
    for i, (path, caption) in enumerate(CAPTIONS.items()):
        picture = Image.linear_gradient("L").rotate(90 * i).resize((64 + 16 * i, 48)).convert("RGB")
        picture.save(folder / path)
        # What gives the answer away is in the file, as in the real sets, and must not help.
        given = {"slot": i, "label": "heron", "orig_name": "heron.jpg", "id": f"x-{i}"}
        pictures.append({"type": "image", "image_path": path, "caption": caption, "alt": "", **given})
    pictures.append({"type": "image", "image_path": "images/no-caption.jpg", "caption": "", "alt": "heron"})
    article = {"id": "x", "title": "T", "blocks": [{"type": "paragraph", "text": "heron"}, *pictures], **blocks}
    (folder / "articles.jsonl").write_text(json.dumps(article) + "\n")


def tasks(folder: Path, *texts: str) -> Path:
    lines = [
        json.dumps({"id": f"q{i}", "before": text, "after": "", "heading": "", "title": ""})
        for i, text in enumerate(texts)
    ]
    (folder / "in.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "in.jsonl"


@pytest.mark.parametrize("start", [".", "images"])
def test_each_place_finds_its_picture(tmp_path: Path, start: str) -> None:
    make_set(tmp_path)
    asked = tasks(tmp_path, "Engines burn diesel.", "A lighthouse at night.", "We saw a heron.")
    embedder: Any = HashingEmbedder()
    run(asked, tmp_path / start, tmp_path / "articles.jsonl", tmp_path / "out.jsonl", embedder=embedder)
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [f["id"] for f in found] == ["q0", "q1", "q2"]
    assert [f["ranked"][0] for f in found] == ["images/c.jpg", "images/b.jpg", "images/a.jpg"]
    assert all(set(f["ranked"]) <= set(CAPTIONS) for f in found)
    assert not any("orig" in text or "label" in text for call in embedder.calls for text in call)


@pytest.mark.parametrize("path", ["images/lost.jpg", "../outside.jpg", "/etc/hosts"])
def test_a_picture_that_is_lost_or_leads_out_is_named(tmp_path: Path, path: str) -> None:
    make_set(tmp_path, blocks=[{"type": "image", "image_path": path, "caption": "c"}])
    embedder: Any = HashingEmbedder()
    with pytest.raises(SourceUnreadable, match=Path(path).name):
        run(tasks(tmp_path, "x"), tmp_path, tmp_path / "articles.jsonl", tmp_path / "out.jsonl", embedder=embedder)
    assert not (tmp_path / "out.jsonl").exists()
