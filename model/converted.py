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
from typing import Annotated, Final

import torch
from huggingface_hub.errors import StrictDataclassError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from interleaf.errors import CheckpointInvalid, Unsupported, WeightsUnusable, shown
from model.checkpoint import TensorFact, complain, first_not_finite
from model.config import Task, XComposerConfig
from model.json_file import read_object
from model.tensor_list import tensor_list
from model.weight_file import header_of, open_tensors

__all__ = [
    "MANIFEST",
    "FileFact",
    "Manifest",
    "Problem",
    "adapters_of",
    "load_state",
    "read_adapter",
    "read_manifest",
    "verify",
]

MANIFEST: Final = "interleaf.json"
FORMAT: Final = 1
_READ_BYTES: Final = 2**22

FileName = Annotated[str, StringConstraints(pattern=r"^(adapters/)?[A-Za-z0-9][A-Za-z0-9_.-]{0,200}$")]
_ADD_AGAIN: Final = "Add the model again: interleaf models add"


class FileFact(BaseModel):
    """Length and content of one file of the folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Source(BaseModel):
    """Where the weights came from: a folder's name or a hub id, and a fingerprint of the files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(max_length=500)
    revision: str | None = Field(None, max_length=100)
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What a converted model is made of; every file but the manifest itself is listed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    family: str = Field(max_length=40)
    source: Source
    tensors: int = Field(ge=1)
    adapters: dict[str, int] = Field(max_length=10)
    merged_task: Task = "base"
    dtype: str = Field(max_length=20)
    files: dict[FileName, FileFact] = Field(max_length=2_000)

    @property
    def nbytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.bytes for file in self.files.values())


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a converted model: in which file, and what."""

    file: str
    what: str


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a converted model. WeightsUnusable when `folder` is none, or was made by a newer interleaf."""
    if not (folder / MANIFEST).is_file():
        problem = f"has no {MANIFEST}: it is no model of ours."
        raise WeightsUnusable(folder.name or str(folder), problem, f"{_ADD_AGAIN} DIR")
    found = read_object(folder / MANIFEST)
    if found.get("format") != FORMAT:
        problem = f"its {MANIFEST} is of format {shown(found.get('format'))}; this interleaf reads {FORMAT}."
        raise WeightsUnusable(folder.name, problem, _ADD_AGAIN)
    try:
        return Manifest.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{MANIFEST} is damaged: {shown('.'.join(map(str, first['loc'])))}: {first['msg']}."
        raise WeightsUnusable(folder.name, problem, _ADD_AGAIN) from error


def read_config(folder: Path) -> XComposerConfig:
    """The network's config. CheckpointInvalid when config.json is missing, damaged, or does not fit together."""
    values = read_object(folder / "config.json")
    try:
        config: XComposerConfig = XComposerConfig.from_dict(values)
    except (StrictDataclassError, TypeError, ValueError, KeyError, AttributeError) as error:
        problem = f"holds values that do not fit ({shown(error)})."
        raise CheckpointInvalid("config.json", problem, _ADD_AGAIN) from error
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


def adapters_of(folder: Path) -> tuple[str, ...]:
    """Names of the task adapters that the folder holds, such as ("lora_sft", "lora_dpo", "lora_web")."""
    return tuple(read_manifest(folder).adapters)


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
