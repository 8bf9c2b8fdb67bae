"""Opened engine: the engine of a model, for as long as a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from interleaf.cli.model_choice import device_of

if TYPE_CHECKING:
    from model.inference.engine import Engine
    from model.weights.weight_only import WeightBits

__all__ = ["WeightsOption", "opened_engine"]


class WeightsOption(StrEnum):
    kept = "kept"
    int8 = "int8"
    int4 = "int4"


@contextmanager
def opened_engine(folder: Path, weights: WeightsOption, device: str | None) -> Iterator[Engine]:
    """The engine of a model's folder, closed at the end. A person is told that loading takes its time."""
    from interleaf import approot
    from interleaf.foreign_logs import hush_progress

    approot.enter()
    placed = device_of(device)
    if sys.stderr.isatty():
        typer.echo(f"loading {folder.name} …", err=True)
    from model.inference.engines import open_engine

    hush_progress()
    bits: dict[WeightsOption, WeightBits] = {WeightsOption.int8: "int8", WeightsOption.int4: "int4"}
    engine = open_engine(folder, weights=bits.get(weights), device=placed, tasks=())
    try:
        yield engine
    finally:
        engine.close()
