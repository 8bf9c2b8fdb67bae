"""Engines: a model's folder becomes the engine that runs it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from interleaf.errors import WeightsUnusable
from model.config import Task
from model.engine import Engine
from model.loading import load_model
from model.manifest import MANIFEST, read_manifest
from model.processor import XComposerProcessor
from model.weight_only import WeightBits
from model.xcomposer_engine import XComposerEngine

__all__ = ["open_engine"]


def open_engine(
    folder: Path, *, weights: WeightBits | None = None, device: str | None = None, tasks: Sequence[Task] = ()
) -> Engine:
    """The engine of a model folder: a converted XComposer.

    `weights`: int8 or int4 for the decoder; `tasks`: whose adapters are loaded at once (others come when they are
    asked for). WeightsUnusable when the folder holds no model, or one without a tokenizer."""
    if not (folder / MANIFEST).is_file():
        raise WeightsUnusable(
            folder.name, f"holds no {MANIFEST}: it is no model of ours.", "Run: interleaf models add DIR"
        )
    manifest = read_manifest(folder)
    processor = XComposerProcessor.from_folder(folder)
    model = load_model(folder, tasks=tasks, weights=weights, device=device)
    said = {
        "source": manifest.source.fingerprint,
        "merged": manifest.merged_task,
        "weights": weights or manifest.dtype,
    }
    fingerprint = hashlib.sha256(json.dumps(said, sort_keys=True).encode("ascii")).hexdigest()
    return XComposerEngine(model, processor, folder.name, fingerprint, folder=folder)
