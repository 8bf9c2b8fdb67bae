"""Encoders are opened once in a process: runs share them, and leave none behind."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from interleaf.schema import Brief
from retrieval.vectors.embedder import PixelEmbedder, TextEmbedder
from workers.composing import Composing
from workers.run.run_folder import RunFolder
from workers.run.shelf import make_embedder, make_pixel_embedder
from workers.settings import Settings

NOTES = "# Tides\n\nThe moon pulls the sea, and the sea rises.\n\n## Mills\n\nA tide mill stores the risen water.\n"


def encoders() -> int:
    """How many are in memory, those included that wait for the collector."""
    return sum(type(one) in (TextEmbedder, PixelEmbedder) for one in gc.get_objects())


def test_who_asks_by_the_same_settings_gets_the_same_encoder(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, pixel_encoder="clip-ViT-B-32")
    assert make_embedder(settings) is make_embedder(settings.model_copy())
    assert make_pixel_embedder(settings) is make_pixel_embedder(settings.model_copy())
    assert make_pixel_embedder(Settings(home=tmp_path)) is None


@pytest.mark.parametrize("changed", [{"encoder": "other"}, {"downloads": True}, {"threads": 3}])
def test_other_settings_are_another_encoder(tmp_path: Path, changed: dict[str, object]) -> None:
    settings = Settings(home=tmp_path)
    first = make_embedder(settings)
    assert make_embedder(settings.model_copy(update=changed)) is not first
    assert make_embedder(settings.model_copy(update={"home": tmp_path / "other"})) is not first


def test_no_run_leaves_an_encoder_behind(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    found = []
    for number in range(3):
        composing = Composing(RunFolder.at(settings.runs_dir, f"r-{number}"), settings)
        brief = Brief(instruction=f"The tide, {number}.", sources=[{"text": NOTES, "name": "a.md"}], length_words=60)
        for _ in composing.stream(brief, tmp_path):
            pass
        assert composing.article is not None
        found.append(encoders())
    assert found[0] == found[1] == found[2]
