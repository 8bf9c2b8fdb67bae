"""Opened engine: the model that a command was given by name or folder, opened for as long as it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.engine import Engine
    from model.weight_only import WeightBits

__all__ = ["WeightsOption", "model_folder", "opened_engine"]


class WeightsOption(StrEnum):
    kept = "kept"
    int8 = "int8"
    int4 = "int4"


def model_folder(model: str, models: Path | None) -> Path:
    """The folder of a model: a name of the shelf at `models` (None: that of the settings), or a folder's path."""
    from interleaf import approot
    from interleaf.errors import ModelMissing

    approot.enter()
    from model.shelf import ModelShelf
    from workers.settings import settings

    try:
        return ModelShelf(models.absolute() if models else settings().models_dir).path(model)
    except ModelMissing:
        folder = Path(model).expanduser()
        if not folder.is_dir():
            raise
        return folder.absolute()


@contextmanager
def opened_engine(folder: Path, weights: WeightsOption, device: str | None) -> Iterator[Engine]:
    """The engine of a model's folder, closed at the end."""
    from interleaf import approot
    from interleaf.foreign_logs import hush

    approot.enter()
    hush()
    from model.engines import open_engine

    bits: dict[WeightsOption, WeightBits] = {WeightsOption.int8: "int8", WeightsOption.int4: "int4"}
    engine = open_engine(folder, weights=bits.get(weights), device=device, tasks=())
    try:
        yield engine
    finally:
        engine.close()
