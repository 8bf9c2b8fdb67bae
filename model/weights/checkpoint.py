"""Checkpoint: a folder of published weights, looked over by its headers alone and read one tensor at a time."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Final, Literal

import torch

from interleaf.errors import CheckpointInvalid, shown
from model.json_file import read_object
from model.network.config import XComposerConfig
from model.weights.pickled import check_sums, open_pickled
from model.weights.published import config_of, expected
from model.weights.quantized import refuse_quantized
from model.weights.tensor_list import is_ignored, is_optional
from model.weights.weight_file import DTYPES, header_of, open_tensors

__all__ = ["Checkpoint", "TensorFact", "check", "complain", "fingerprint", "first_not_finite", "open_checkpoint"]

Form = Literal["safetensors", "bin"]
# Best first: safetensors need no unpickler.
_PLACES: Final[tuple[tuple[str, Form], ...]] = (
    ("model.safetensors.index.json", "safetensors"),
    ("model.safetensors", "safetensors"),
    ("pytorch_model.bin.index.json", "bin"),
    ("pytorch_model.bin", "bin"),
)
_SHARD_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.(bin|safetensors)")
_LFS_POINTER: Final = b"version https://git-lfs"
MAX_SHARDS: Final = 1_000
MAX_NAMED: Final = 3
_LOOKED_AT_ONCE: Final = 2**24
_SAMPLES: Final = 64
_SAMPLE_BYTES: Final = 2**16
_END_BYTES: Final = 2**20

_FETCH: Final = "Fetch or copy the checkpoint anew."


@dataclass(frozen=True, slots=True)
class TensorFact:
    """What the headers tell of a tensor: its kind of numbers (`BF16`, or torch's name for it), shape and shard."""

    dtype: str
    shape: tuple[int, ...]
    shard: str

    @property
    def nbytes(self) -> int:
        """Its length, for the kinds of numbers that weights of ours have."""
        return prod(self.shape) * DTYPES[self.dtype].itemsize


@dataclass(slots=True)
class Checkpoint:
    """An opened checkpoint. Shards are mapped when first needed; no tensor is in memory until it is used."""

    folder: Path
    form: Form
    published_config: dict[str, Any]
    shards: tuple[str, ...]
    tensors: dict[str, TensorFact]
    _mapped: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape."""
        return {name: fact.shape for name, fact in self.tensors.items()}

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor, mapped from its shard. KeyError for a name that is not in `tensors`."""
        shard = self.tensors[name].shard
        if shard not in self._mapped:
            path = self.folder / shard
            self._mapped[shard] = open_tensors(path) if self.form == "safetensors" else open_pickled(path)
        opened = self._mapped[shard]
        found: torch.Tensor = opened.get_tensor(name) if self.form == "safetensors" else opened[name]
        return found

    def check_sums(self, on_shard: Callable[[int, int], object] = lambda done, total: None) -> None:
        """Hold every record of `.bin` shards against its check sum, which reads them wholly.

        CheckpointInvalid names a damaged shard. Safetensors have no sums. `on_shard` is told (done, of how many).
        """
        for number, shard in enumerate(self.shards if self.form == "bin" else ()):
            on_shard(number, len(self.shards))
            check_sums(self.folder / shard)


def open_checkpoint(folder: Path) -> Checkpoint:
    """Open the checkpoint in `folder` and read the headers of its shards; its weights stay on the disk.

    CheckpointInvalid: no checkpoint, shards missing, cut off or damaged, an index that leads out of the folder, a
    pickle that wants more than tensors. Unsupported: a quantized checkpoint.
    """
    if not folder.is_dir():
        raise CheckpointInvalid(str(folder), "is no folder.", "Give the folder that holds config.json and the weights.")
    published_config = read_object(folder / "config.json")
    refuse_quantized(folder, published_config)
    place, form = _place(folder)
    shards = _shards_of(folder, place, form) if place.endswith(".json") else (place,)
    tensors: dict[str, TensorFact] = {}
    for shard in shards:
        for name, dtype, shape in _header(folder / shard, form):
            if name in tensors:
                problem = f"{shown(name)} is in {tensors[name].shard} and in {shard}."
                raise CheckpointInvalid(folder.name, problem, _FETCH)
            tensors[name] = TensorFact(dtype, shape, shard)
    refuse_quantized(folder, published_config, tensors)
    return Checkpoint(folder, form, published_config, shards, tensors)


def check(checkpoint: Checkpoint) -> XComposerConfig:
    """The checkpoint's config, once every tensor was found to be there and of the right shape and kind.

    CheckpointInvalid names what is missing, unknown, of the wrong shape or of the wrong kind of numbers: the first
    few and how many.
    """
    config = config_of(checkpoint.published_config, checkpoint.shapes)
    complain(checkpoint.folder.name, checkpoint.tensors, expected(config))
    return config


def complain(thing: str, found: Mapping[str, TensorFact], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """CheckpointInvalid, once for all differences between the tensors that are there and those that should be."""
    missing = [name for name in wanted if name not in found and not is_optional(name)]
    unknown = [shown(name) for name in found if name not in wanted and not is_ignored(name)]
    misshapen = [
        f"{name} is {_by(found[name].shape)}, expected {_by(shape)}"
        for name, shape in wanted.items()
        if name in found and found[name].shape != shape
    ]
    odd = [f"{n} is {shown(found[n].dtype)}" for n in wanted if n in found and found[n].dtype not in DTYPES]
    said = [
        f"{len(items):,} {what} ({_few(items)})"
        for items, what in (
            (missing, f"of {len(wanted):,} tensors {_is(missing)} missing"),
            (unknown, f"{_is(unknown)} unknown"),
            (misshapen, f"{_has(misshapen)} the wrong shape"),
            (odd, f"{_is(odd)} neither bf16, fp16 nor fp32"),
        )
        if items
    ]
    if said:
        raise CheckpointInvalid(thing, f"does not hold the published tensors: {'; '.join(said)}.", _FETCH)


def first_not_finite(tensor: torch.Tensor) -> int | None:
    """Where, counted through the flattened tensor, the first NaN or infinity stands; None: all values are finite."""
    flat = tensor.reshape(-1)
    for start in range(0, flat.numel(), _LOOKED_AT_ONCE):
        wrong = ~torch.isfinite(flat[start : start + _LOOKED_AT_ONCE])
        if wrong.any():
            return start + int(wrong.to(torch.uint8).argmax())
    return None


def fingerprint(checkpoint: Checkpoint) -> str:
    """A digest that tells checkpoints apart without reading them wholly: names, lengths and samples of each shard.

    The end of a `.bin` shard lists the check sum of every tensor in it, and is among the samples.
    """
    digest = hashlib.sha256(json.dumps(checkpoint.published_config, sort_keys=True).encode())
    for shard in checkpoint.shards:
        path = checkpoint.folder / shard
        length = path.stat().st_size
        digest.update(f"{shard}:{length}:".encode())
        with path.open("rb") as file:
            for start in (i * length // _SAMPLES for i in range(_SAMPLES)):
                file.seek(start)
                digest.update(file.read(_SAMPLE_BYTES))
            file.seek(max(0, length - _END_BYTES))
            digest.update(file.read(_END_BYTES))
    return digest.hexdigest()


# Inside


def _place(folder: Path) -> tuple[str, Form]:
    for name, form in _PLACES:
        if (folder / name).is_file():
            return name, form
    shards = sorted(p.name for p in folder.glob("*-of-*.*") if _SHARD_NAME.fullmatch(p.name))
    if shards:
        raise CheckpointInvalid(folder.name, f"has shards such as {shown(shards[0])} but no index of them.", _FETCH)
    looked_for = ", ".join(name for name, _ in _PLACES)
    raise CheckpointInvalid(folder.name, f"holds no weights (looked for {looked_for}).", "Give the folder with them.")


def _shards_of(folder: Path, index_name: str, form: Form) -> tuple[str, ...]:
    weight_map = read_object(folder / index_name).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointInvalid(index_name, "has no weight_map of names and shards.", _FETCH)
    shards = sorted({value if isinstance(value, str) else repr(value) for value in weight_map.values()})
    for shard in shards:
        if not _SHARD_NAME.fullmatch(shard) or not shard.endswith(form):
            problem = f"names {shown(shard)!r} as a shard, which is no file name of the folder's own."
            raise CheckpointInvalid(index_name, problem, "Do not use this checkpoint.")
    if len(shards) > MAX_SHARDS:
        raise CheckpointInvalid(index_name, f"names {len(shards):,} shards, more than {MAX_SHARDS:,}.", _FETCH)
    absent = [shard for shard in shards if not (folder / shard).is_file()]
    if absent:
        problem = f"names {len(shards)} shards, of which {len(absent)} {_is(absent)} not there ({_few(absent)})."
        raise CheckpointInvalid(index_name, problem, "Fetch or copy them too.")
    return tuple(shards)


def _header(path: Path, form: Form) -> list[tuple[str, str, tuple[int, ...]]]:
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})."
        raise CheckpointInvalid(path.name, problem, "Give yourself the right to read it.") from error
    if start == _LFS_POINTER:
        raise CheckpointInvalid(path.name, "is a git-lfs pointer, not the weights.", "Run: git lfs pull")
    if form == "safetensors":
        return [(name, dtype, shape) for name, (dtype, shape) in header_of(path).items()]
    names = {dtype: name for name, dtype in DTYPES.items()}
    opened = open_pickled(path)
    return [(n, names.get(t.dtype, str(t.dtype).removeprefix("torch.")), tuple(t.shape)) for n, t in opened.items()]


def _few(items: Sequence[str]) -> str:
    return ", ".join(items[:MAX_NAMED]) + (", …" if len(items) > MAX_NAMED else "")


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape) or "a single number"


def _is(items: Sequence[str]) -> str:
    return "is" if len(items) == 1 else "are"


def _has(items: Sequence[str]) -> str:
    return "has" if len(items) == 1 else "have"
