"""Engines: a model's folder becomes the engine that runs it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from interleaf.errors import Unsupported, WeightsUnusable
from model.config import Task
from model.engine import Engine
from model.json_file import read_object
from model.loading import load_model
from model.manifest import MANIFEST, read_manifest
from model.processor import XComposerProcessor
from model.transformers_engine import TransformersEngine
from model.weight_only import WeightBits
from model.xcomposer_engine import XComposerEngine

__all__ = ["open_engine"]


def open_engine(
    folder: Path, *, weights: WeightBits | None = None, device: str | None = None, tasks: Sequence[Task] = ()
) -> Engine:
    """The engine of a model folder: a converted XComposer, or any chat model with eyes that transformers loads.

    `weights`: int8 or int4 for an XComposer's decoder; `tasks`: whose adapters are loaded at once (others come when
    they are asked for). WeightsUnusable when the folder holds no model, or one without a tokenizer; Unsupported for
    what a model cannot do."""
    if not (folder / MANIFEST).is_file():
        return _of_transformers(folder, weights, device, tasks)
    manifest = read_manifest(folder)
    processor = XComposerProcessor.from_folder(folder)
    model = load_model(folder, tasks=tasks, weights=weights, device=device)
    said = {
        "source": manifest.source.fingerprint,
        "merged": manifest.merged_task,
        "weights": weights or manifest.dtype,
    }
    return XComposerEngine(model, processor, folder.name, _hashed(said), folder=folder)


def _of_transformers(
    folder: Path, weights: WeightBits | None, device: str | None, tasks: Sequence[Task]
) -> TransformersEngine:
    """Local files only, safetensors only, no code of the checkpoint's."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    if not (folder / "config.json").is_file():
        problem = f"holds neither {MANIFEST} nor config.json: it is no model."
        raise WeightsUnusable(folder.name, problem, "Run: interleaf models list")
    if weights is not None or any(task != "base" for task in tasks):
        raise Unsupported(folder.name, "has neither tasks nor fewer bits here.", "Take an XComposer for these.")
    kept: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    placed: dict[str, Any] = {} if device is None else {"device_map": device}
    try:
        model: Any = AutoModelForImageTextToText.from_pretrained(
            folder, use_safetensors=True, dtype="auto", **kept, **placed
        )
        processor: Any = AutoProcessor.from_pretrained(folder, **kept)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        reason = str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
        raise WeightsUnusable(
            folder.name, f"cannot be opened ({reason}).", "Take a chat model with eyes, in safetensors."
        ) from error
    if getattr(processor, "chat_template", None) is None:
        raise Unsupported(folder.name, "has no chat template.", "Take a model that was taught to chat.")
    files = sorted((path.name, path.stat().st_size) for path in folder.glob("*.safetensors"))
    said = {"config": read_object(folder / "config.json"), "files": files}
    return TransformersEngine(model.train(False), processor, folder.name, _hashed(said))


def _hashed(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode("utf-8")).hexdigest()
