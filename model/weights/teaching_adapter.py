"""Teaching adapter: low-rank pairs beside the decoder's linears, in memory by PEFT and in a folder of their own.

adapter_config.json and adapter_model.safetensors are as PEFT writes them, and PEFT reads them; teaching.json says of
which base they are, by a fingerprint of its weights. PEFT is touched here alone and is an optional extra.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from interleaf.errors import OutputUnwritable, Unsupported, WeightsUnusable, shown
from interleaf.whole_file import write_whole
from model.network.plora import PartialLoraLinear, merged
from model.network.xcomposer import XComposerForConditionalGeneration
from model.weights.adapter_record import RECORD, AdapterRecord, read_record
from model.weights.weight_file import open_tensors, write_weight_file

__all__ = [
    "RECORD",
    "TARGETS",
    "WEIGHTS",
    "AdapterRecord",
    "apply_adapter",
    "base_fingerprint",
    "insert_pairs",
    "read_record",
    "trained_tensors",
    "write_adapter",
    "write_tensors",
]

TARGETS: Final = ("attention.wqkv", "attention.wo", "feed_forward.w1", "feed_forward.w2", "feed_forward.w3")
WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
# What PEFT puts before the names of a model that it wraps.
_PREFIX: Final = "base_model.model."
_NAME: Final = "default"
_SAMPLED: Final = 256


def base_fingerprint(model: XComposerForConditionalGeneration) -> str:
    """A digest of the network's own weights: names, shapes and samples of every parameter, as bfloat16.

    The same whether or not task adapters or an adapter of ours are in it, and in bf16 and fp32 of the same files.
    Unsupported when its matrices are quantised, or lie on no device."""
    digest = hashlib.sha256(f"{model.config.family}:{model.config.merged_task}".encode())
    for name, parameter in sorted(model.named_parameters()):
        if ".lora_" in name or "post_layernorm" in name:
            continue
        if parameter.is_meta or type(parameter) is not nn.Parameter:
            raise Unsupported(name, "is quantised or not in memory.", "Load the model whole and not quantised.")
        flat = parameter.detach().reshape(-1)
        step = max(1, flat.numel() // _SAMPLED)
        values = flat[::step].to(torch.bfloat16).float().cpu().numpy().tobytes()
        digest.update(f"{name.replace('.base_layer', '')}:{tuple(parameter.shape)}:".encode() + values)
    return digest.hexdigest()


def insert_pairs(model: XComposerForConditionalGeneration, rank: int, alpha: int, dropout: float, seed: int) -> None:
    """Put a pair that adds nothing yet beside each target; only the pairs can learn. They are float32.

    The global random state stays as it was. Unsupported when PEFT is missing or pairs are there already."""
    if any(name.endswith("base_layer") for name, _ in model.named_modules()):
        raise Unsupported("adapter", "the model has one of ours already.", "Load the model anew, or merge.")
    peft = _peft()
    said = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(TARGETS), bias="none")
    was_training = model.training
    with torch.random.fork_rng(devices=_devices(model)):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(said, model, adapter_name=_NAME)
    for name, parameter in model.named_parameters():
        learns = _is_pair(name)
        parameter.requires_grad_(learns)
        if learns:
            parameter.data = parameter.data.float()
    model.train(was_training)


def trained_tensors(model: XComposerForConditionalGeneration) -> dict[str, nn.Parameter]:
    """The pairs by the names that PEFT writes, in the order of the names."""
    found = {_public(name): p for name, p in model.named_parameters() if _is_pair(name)}
    return dict(sorted(found.items()))


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write tensors to `path`, which appears complete or not at all; the sha256. OutputUnwritable: a full disk."""
    aside = path.with_name(f".{path.name}.part")
    on_cpu = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)
        try:
            plan = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in on_cpu.items()}
            written = write_weight_file(aside, plan, on_cpu.items())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})."
        raise OutputUnwritable(str(path), problem, "Free some space, or name another folder.") from error
    return written.sha256


def write_adapter(
    folder: Path, model: XComposerForConditionalGeneration, record: AdapterRecord, dropout: float
) -> AdapterRecord:
    """Write the model's pairs; the record, which makes them an adapter, comes last. OutputUnwritable."""
    sha256 = write_tensors(folder / WEIGHTS, trained_tensors(model))
    said = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": record.base,
        "inference_mode": True,
        "r": record.rank,
        "lora_alpha": record.alpha,
        "lora_dropout": dropout,
        "target_modules": list(TARGETS),
        "bias": "none",
    }
    write_whole(folder / CONFIG, (json.dumps(said, indent=2) + "\n").encode())
    record = record.model_copy(update={"weights_sha256": sha256})
    write_whole(folder / RECORD, (record.model_dump_json(indent=2) + "\n").encode())
    return record


def apply_adapter(
    model: XComposerForConditionalGeneration, folder: Path, *, merge: bool = False
) -> XComposerForConditionalGeneration:
    """Make `model` answer as it was taught; the same model, changed. Attach task adapters before.

    `merge`: add the pairs into the weights, which costs nothing per token, needs no PEFT and cannot be undone.
    WeightsUnusable when the adapter is of another base, damaged, or has tensors that do not fit; then the model is
    as it was. Unsupported when PEFT is missing, or the model is quantised."""
    record = read_record(folder)
    found = base_fingerprint(model)
    if found != record.base_fingerprint:
        raise WeightsUnusable(
            str(folder),
            f"is an adapter of {shown(record.base)} ({record.base_fingerprint[:12]}); this model is {found[:12]}.",
            "Apply it to the model that it was taught on.",
        )
    tensors = _read_pairs(folder, record, model)
    if merge:
        for path, linear in _targets(model):
            pair = (tensors[f"{_PREFIX}{path}.lora_A.weight"], tensors[f"{_PREFIX}{path}.lora_B.weight"])
            moved = tuple(part.to(linear.weight.device) for part in pair)
            linear.weight.data = merged(linear.weight.data, {"": (moved[0], moved[1])}, record.alpha / record.rank)
        return model
    insert_pairs(model, record.rank, record.alpha, 0.0, 0)
    for name, parameter in trained_tensors(model).items():
        parameter.data.copy_(tensors[name])
        parameter.requires_grad_(False)
    return model


# Inside


def _peft() -> Any:
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        raise Unsupported("tune", "needs PEFT, which is not installed.", "pip install 'interleaf[tune]'") from error


def _devices(model: nn.Module) -> list[int]:
    found = {p.device for p in model.parameters() if p.device.type == "cuda"}
    return sorted(device.index or 0 for device in found)


def _is_pair(name: str) -> bool:
    return name.endswith((f"lora_A.{_NAME}.weight", f"lora_B.{_NAME}.weight"))


def _public(name: str) -> str:
    return _PREFIX + name.replace(f".{_NAME}.weight", ".weight")


def _targets(model: nn.Module) -> Iterator[tuple[str, PartialLoraLinear]]:
    for path, module in model.named_modules():
        if isinstance(module, PartialLoraLinear) and path.endswith(TARGETS):
            yield path, module


def _read_pairs(folder: Path, record: AdapterRecord, model: nn.Module) -> dict[str, Tensor]:
    """The adapter's tensors, held against its record and the model."""
    path = folder / WEIGHTS
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})."
        raise WeightsUnusable(WEIGHTS, problem, "Copy the adapter again.") from error
    if sha256 != record.weights_sha256:
        raise WeightsUnusable(WEIGHTS, "has changed since it was taught (sha256).", "Copy the adapter again.")
    with open_tensors(path) as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dictionary)
    wanted: dict[str, tuple[int, int]] = {}
    for name, linear in _targets(model):
        wanted[f"{_PREFIX}{name}.lora_A.weight"] = (record.rank, linear.in_features)
        wanted[f"{_PREFIX}{name}.lora_B.weight"] = (linear.out_features, record.rank)
    wrong = [n for n in sorted({*wanted, *tensors}) if n not in tensors or tuple(tensors[n].shape) != wanted.get(n)]
    if wrong:
        problem = f"{len(wrong)} tensors are missing, unknown or misshapen, the first is {shown(wrong[0])}."
        raise WeightsUnusable(WEIGHTS, problem, "Take the whole adapter of this base.")
    return tensors
