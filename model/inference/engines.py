"""Engines: a model's folder becomes the engine that runs it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image
from safetensors import SafetensorError

from interleaf.errors import PromptInvalid, Unsupported, WeightsUnusable
from model.inference.engine import Engine, Request
from model.inference.transformers_engine import TransformersEngine
from model.inference.xcomposer_engine import XComposerEngine
from model.network.config import Task
from model.prompts.foreign_processor import open_processor
from model.prompts.processor import XComposerProcessor
from model.weights.loading import load_model
from model.weights.manifest import MANIFEST, read_manifest
from model.weights.teaching_adapter import apply_adapter, read_record
from model.weights.weight_only import WeightBits

__all__ = ["open_engine"]

_END_BYTES: Final = 1024 * 1024


def open_engine(
    folder: Path,
    *,
    weights: WeightBits | None = None,
    device: str | None = None,
    tasks: Sequence[Task] = (),
    adapter: Path | None = None,
) -> Engine:
    """The engine of a model folder: a converted XComposer, or any chat model with eyes that transformers loads.

    `weights`: int8 or int4 for an XComposer's decoder; `tasks`: whose adapters are loaded at once (others come when
    they are asked for); `adapter`: an adapter of ours, merged in. WeightsUnusable when the folder holds no model, or
    one without a tokenizer, or the adapter is of another base; Unsupported for what a model cannot do."""
    if not (folder / MANIFEST).is_file():
        if adapter is not None:
            raise Unsupported(folder.name, "takes no adapter here.", "Take an XComposer for one.")
        return _of_transformers(folder, weights, device, tasks)
    if adapter is not None and weights is not None:
        raise Unsupported(adapter.name, f"cannot be merged into {weights} weights.", "Open the model with its own.")
    manifest = read_manifest(folder)
    processor = XComposerProcessor.from_folder(folder)
    model = load_model(folder, tasks=tasks, weights=weights, device=device)
    said = {
        "source": manifest.source.fingerprint,
        "merged": manifest.merged_task,
        "weights": weights or manifest.dtype,
    }
    if adapter is not None:
        apply_adapter(model, adapter, merge=True)
        said["adapter"] = read_record(adapter).weights_sha256
    return XComposerEngine(model, processor, folder.name, _hashed(said), folder=folder)


def _of_transformers(
    folder: Path, weights: WeightBits | None, device: str | None, tasks: Sequence[Task]
) -> TransformersEngine:
    """Local files only, safetensors only, no code of the checkpoint's."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    if not (folder / "config.json").is_file():
        problem = f"holds neither {MANIFEST} nor config.json: it is no model."
        raise WeightsUnusable(folder.name, problem, "Run: interleaf models list")
    if weights is not None or any(task != "base" for task in tasks):
        raise Unsupported(folder.name, "has neither tasks nor fewer bits here.", "Take an XComposer for these.")
    kept: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    placed: dict[str, Any] = {} if device is None else {"device_map": device}
    try:
        config = AutoConfig.from_pretrained(folder, **kept)
        processor: Any = open_processor(folder, config)  # before the weights, which take long
        model: Any = AutoModelForImageTextToText.from_pretrained(
            folder, use_safetensors=True, dtype="auto", **kept, **placed
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        reason = str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
        raise WeightsUnusable(
            folder.name, f"cannot be opened ({reason}).", "Take a chat model with eyes, in safetensors."
        ) from error
    if getattr(processor, "chat_template", None) is None:
        raise Unsupported(folder.name, "has no chat template.", "Take a model that was taught to chat.")
    said = {"files": _files(folder), "pictures": type(getattr(processor, "image_processor", None)).__name__}
    engine = TransformersEngine(model.train(False), processor, folder.name, _hashed(said))
    _refuse_blind(engine)
    return engine


def _files(folder: Path) -> dict[str, str]:
    """What tells a folder's files apart: size and hash; of weights, which are large, the hash of both ends."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in (".safetensors", ".json", ".jinja", ".txt", ".model"):
            size = path.stat().st_size
            part = _END_BYTES if path.suffix == ".safetensors" else size
            with path.open("rb") as file:
                hashed = hashlib.sha256(file.read(part))
                file.seek(max(size - part, 0))
                hashed.update(file.read(part))
            found[path.name] = f"{size} {hashed.hexdigest()}"
    return found


def _refuse_blind(engine: TransformersEngine) -> None:
    """Unsupported when a picture adds nothing to a prompt: no part prepares it, or the template has no place for it."""
    try:
        blind = engine.count(Request.ask("?", [Image.new("RGB", (64, 64))])) <= engine.count(Request.ask("?"))
    except PromptInvalid as error:
        raise Unsupported(engine.name, f"takes no picture: {error}", "Take a chat model with eyes.") from error
    if blind:
        raise Unsupported(engine.name, "takes no picture: its prompt stays the same.", "Take a chat model with eyes.")


def _hashed(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode("utf-8")).hexdigest()
