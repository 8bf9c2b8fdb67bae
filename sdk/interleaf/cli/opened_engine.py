"""Opened engine: the engine of a model, for as long as a command needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.engine import Engine
    from model.weight_only import WeightBits

__all__ = ["WeightsOption", "opened_engine"]


class WeightsOption(StrEnum):
    kept = "kept"
    int8 = "int8"
    int4 = "int4"


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
