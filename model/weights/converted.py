"""Converted model: the folder that conversion makes and loading reads: safetensors, config and a manifest.

config.json  generation_config.json  interleaf.json (the manifest)
model.safetensors, or model-0000N-of-0000M.safetensors and their index
adapters/lora_sft.safetensors  …     tokenizer files, as far as the checkpoint had them
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from huggingface_hub.errors import StrictDataclassError

from interleaf.errors import CheckpointInvalid, Unsupported, shown
from model.json_file import read_object
from model.network.config import XComposerConfig
from model.weights.checkpoint import TensorFact, complain, first_not_finite
from model.weights.manifest import ADD_AGAIN, MANIFEST, FileFact, Manifest, adapters_of, read_manifest
from model.weights.tensor_list import tensor_list
from model.weights.weight_file import header_of, open_tensors

__all__ = ["Problem", "adapters_of", "load_state", "read_adapter", "read_config", "read_manifest", "verify"]

_READ_BYTES: Final = 2**22


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a converted model: in which file, and what."""

    file: str
    what: str


def read_config(folder: Path) -> XComposerConfig:
    """The network's config. CheckpointInvalid when config.json is missing, damaged, or does not fit together."""
    values = read_object(folder / "config.json")
    try:
        config: XComposerConfig = XComposerConfig.from_dict(values)
    except (StrictDataclassError, TypeError, ValueError, KeyError, AttributeError) as error:
        problem = f"holds values that do not fit ({shown(error)})."
        raise CheckpointInvalid("config.json", problem, ADD_AGAIN) from error
    return config


def load_state(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor) of the main weights, one file after another; tensors are mapped, not copied.

    WeightsUnusable when a file is missing or damaged.
    """
    for name in sorted(read_manifest(folder).files):
        if name.endswith(".safetensors") and "/" not in name:
            with open_tensors(folder / name) as file:
                for key in file.keys():  # noqa: SIM118 (it is no dictionary)
                    yield key, file.get_tensor(key)


def read_adapter(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """One task adapter's tensors by their published names, mapped, not copied.

    Unsupported when the model has no adapter of that name; WeightsUnusable when its file is missing or damaged.
    """
    present = adapters_of(folder)
    if name not in present:
        has = ", ".join(present) or "none"
        raise Unsupported(
            shown(name), f"is no adapter of {folder.name} (it has: {has}).", "Take another task or model."
        )
    with open_tensors(folder / "adapters" / f"{name}.safetensors") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dictionary)


def verify(folder: Path, on_bytes: Callable[[int], object] = lambda count: None) -> list[Problem]:
    """Everything wrong with a converted model: files against the manifest, tensors against the config, values.

    Reads every file wholly; `on_bytes` is told of each piece read. WeightsUnusable when there is no manifest to
    hold them against.
    """
    manifest = read_manifest(folder)
    problems = []
    for name, fact in manifest.files.items():
        what = _wrong_with_file(folder / name, fact, on_bytes)
        if what:
            problems.append(Problem(name, what))
    listed = {*manifest.files, MANIFEST}
    strangers = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())
    problems += [Problem(shown(name), "is not in the manifest") for name in strangers if name not in listed]
    damaged = {problem.file for problem in problems}
    weights = [name for name in manifest.files if name.endswith(".safetensors") and name not in damaged]
    if "config.json" in damaged or len(weights) < sum(name.endswith(".safetensors") for name in manifest.files):
        return problems  # what is missing has been said; the tensors would only repeat it
    return problems + _wrong_tensors(folder, manifest, weights)


# Inside


def _wrong_with_file(path: Path, fact: FileFact, on_bytes: Callable[[int], object]) -> str | None:
    try:
        length = path.stat().st_size
        if length != fact.bytes:
            return f"is {length:,} bytes long, not {fact.bytes:,}"
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
                on_bytes(len(piece))
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return None if digest.hexdigest() == fact.sha256 else "has changed since it was converted (sha256)"


def _wrong_tensors(folder: Path, manifest: Manifest, weights: list[str]) -> list[Problem]:
    problems = []
    found: dict[str, TensorFact] = {}
    for name in weights:
        try:
            found |= {key: TensorFact(dtype, shape, name) for key, (dtype, shape) in header_of(folder / name).items()}
        except CheckpointInvalid as error:
            return [Problem(name, error.problem)]
    try:
        complain(folder.name, found, tensor_list(read_config(folder)))
    except CheckpointInvalid as error:
        return [Problem("config.json", error.problem)]
    if len(found) != manifest.tensors:
        problems.append(Problem(MANIFEST, f"says {manifest.tensors:,} tensors, the files hold {len(found):,}"))
    for name in weights:
        with open_tensors(folder / name) as file:
            for key in file.keys():  # noqa: SIM118 (it is no dictionary)
                where = first_not_finite(file.get_tensor(key))
                if where is not None:
                    problems.append(Problem(name, f"{key} is not finite at value {where:,}"))
    return problems
