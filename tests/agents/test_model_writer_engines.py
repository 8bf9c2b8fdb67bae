"""The writer's contract on networks that really run: the native XComposer and a chat model of transformers, small and
with random weights. What they say means nothing; what comes back keeps the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from agents.context import Writer
from agents.model_writer import ModelWriter
from interleaf.schema import Brief, Outline
from model.inference.engine import Engine
from model.inference.engines import open_engine
from tests.contracts.writer import WriterContract
from tests.fakes import HashingEmbedder
from tests.model.teaching_material import tiny_folder
from tests.model.tiny_vlms import tiny_vlm
from workers.run.mind import EngineMind


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("pixels")

    def path(picture_id: str) -> Path:
        file = folder / f"{picture_id[:12]}.png"
        if not file.exists():
            Image.new("RGB", (40, 30), f"#{picture_id[:6]}").save(file)
        return file

    return path


@pytest.fixture(scope="module", params=["xcomposer", "chat"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    root = tmp_path_factory.mktemp("model")
    if request.param == "xcomposer":
        return open_engine(tiny_folder(root, max_position=8_192))
    tiny_vlm("qwen2_vl", root / "qwen")
    return open_engine(root / "qwen")


class TestOnNetworks(WriterContract):
    """See WriterContract. The outline is given and short: random weights never stop by themselves."""

    needs_sources = False

    @pytest.fixture
    def brief(self) -> Brief:
        outline = Outline.model_validate({"title": "Bees", "sections": [{"heading": "Bees"}, {"heading": "Tides"}]})
        return Brief(instruction="Write about bees.", outline=outline, length_words=50)

    @pytest.fixture
    def writer(self, engine: Engine, pixels: Callable[[str], Path]) -> Writer:
        native = type(engine).__name__ == "XComposerEngine"
        mind = EngineMind(
            engine,
            pixels,
            family="xcomposer" if native else "chat",
            tasks=("write", "base") if native else ("base", "base"),
            glance="glance" if native else None,
        )
        return ModelWriter(mind, HashingEmbedder())
