"""Loading: a converted model folder becomes a network in memory; task adapters when they are asked for.

Nothing here reaches a network, and no pickle is read: folders come from conversion.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from interleaf.errors import Unsupported, WeightsUnusable
from model.network.config import ADAPTERS_OF_TASK, Task
from model.network.xcomposer import XComposerForConditionalGeneration
from model.weights.converted import adapters_of, read_adapter, read_config, read_manifest
from model.weights.registration import register
from model.weights.weight_only import WeightBits, quantize_weights

__all__ = ["attach_task", "load_model"]


def load_model(
    folder: Path,
    *,
    tasks: Sequence[Task] = (),
    dtype: torch.dtype | None = None,
    device: str | dict[str, Any] | None = None,
    weights: WeightBits | None = None,
    attention: str = "sdpa",
) -> XComposerForConditionalGeneration:
    """The network in a converted `folder`, ready to generate.

    `tasks`: whose adapters are loaded now (`attach_task` brings more later). `dtype`: None keeps that of the files.
    `device`: None leaves it on the CPU; a name, `auto`, or a map of parts to devices. `weights`: int8 or int4 for
    the decoder's matrices. WeightsUnusable when the folder is none of ours, or a tensor is missing or misshapen;
    Unsupported when it has no adapters for a task."""
    read_manifest(folder)
    register()
    config = read_config(folder)
    placed: dict[str, Any] = {} if device is None else {"device_map": device}
    try:
        opened: Any = XComposerForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            dtype=dtype or "auto",
            attn_implementation=attention,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **placed,
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise WeightsUnusable(
            folder.name, f"cannot be loaded ({error}).", "Run: interleaf models verify, then add it again."
        ) from error
    model: XComposerForConditionalGeneration = opened[0]
    said: dict[str, Any] = opened[1]
    missing = [key for key in said["missing_keys"] if "post_layernorm" not in key]
    if missing or said["mismatched_keys"]:
        first = missing[0] if missing else said["mismatched_keys"][0][0]
        raise WeightsUnusable(
            folder.name,
            f"lacks {len(missing)} tensors and has {len(said['mismatched_keys'])} of another shape, "
            f"the first is {first}.",
            "Run: interleaf models verify, then add it again.",
        )
    if weights is not None:
        quantize_weights(model, weights)
    for task in tasks:
        attach_task(model, folder, task)
    return model.train(False)  # type: ignore[no-any-return]


def attach_task(model: XComposerForConditionalGeneration, folder: Path, task: Task) -> None:
    """Bring the adapters of `task` from the model's folder, where they are not there yet."""
    if task not in ADAPTERS_OF_TASK:
        raise Unsupported("task", f"{task!r} is not known.", f"Choose one of {', '.join(ADAPTERS_OF_TASK)}.")
    if model.config.merged_task == task:
        return
    missing = set(ADAPTERS_OF_TASK[task]) - set(adapters_of(folder))
    if missing:
        raise Unsupported(
            "task",
            f"{task!r} needs {', '.join(sorted(missing))}, which {folder.name} does not have.",
            "Take InternLM-XComposer-2.5 for this task, or the task 'base'.",
        )
    for name in ADAPTERS_OF_TASK[task]:
        if name not in model.adapters:
            model.attach_adapter(name, read_adapter(folder, name))
