"""Seeded: checkpoints in the published form with random weights, at any size: what tests and benchmarks live on.

    python -m model.weights.seeded --family 2d5-7b --size tiny --seed 0 --out DIR

A tensor's values depend on the seed and its name alone, so that the same network comes out in one file or ten.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, Final, Literal, get_args

import torch

from model.network.config import Family
from model.weights.network_size import SIZES, NetworkSize, SizeName, config_of_size, published_config, size_of
from model.weights.tensor_list import adapter_of, is_optional, tensor_list
from model.weights.weight_file import nbytes_of, write_weight_file

__all__ = ["SIZES", "NetworkSize", "config_of_size", "published_config", "seeded_tensor", "size_of", "write_checkpoint"]

# As transformers 4.33 cut the published files; the last digit counts only at full size.
PUBLISHED_SHARD_BYTES: Final = 10 * 10**9
_FILLED_AT_ONCE: Final = 2**22
# Low-rank pairs count for about a third of their linear: enough to be missed when forgotten.
LOW_RANK: Final = 0.3


_DTYPES: Final = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def seeded_tensor(
    name: str, shape: tuple[int, ...], seed: int, dtype: torch.dtype, low_rank: float = LOW_RANK
) -> torch.Tensor:
    """The values of one tensor: of such a spread that the signal neither dies nor grows from layer to layer.
    `low_rank`: how much low-rank paths count beside their linear."""
    out = torch.empty(shape, dtype=dtype)
    _fill(out, name, seed, low_rank)
    return out


def write_checkpoint(
    folder: Path,
    family: Family = "2d5-7b",
    size: SizeName = "tiny",
    seed: int = 0,
    dtype: torch.dtype = torch.bfloat16,
    format: Literal["bin", "safetensors"] = "bin",
    adapters: bool = True,
    shards: int | None = None,
    post_layernorm: bool = False,
    low_rank: float = LOW_RANK,
    **changes: Any,
) -> Path:
    """Write a checkpoint into `folder`, which is made; returns it.

    `format`: `bin` as published, or safetensors. `shards`: into how many files; None: as published at full size,
    two otherwise. `adapters`: with the task adapters, in the family that has them. `post_layernorm`: with the
    tower's last norm, which the published files lack. `low_rank`: how much low-rank paths count beside their linear.
    `changes`: fields of `NetworkSize`, such as `layers=4`.

    Memory holds one tensor; at `bin`, a file beside the shard holds it until it is packed.
    """
    sizes = size_of(family, size, **changes)
    config = config_of_size(family, sizes, adapters=adapters)
    names = {n: s for n, s in tensor_list(config).items() if post_layernorm or not is_optional(n)}
    folder.mkdir(parents=True, exist_ok=True)
    limit = None if shards or size != "full" else PUBLISHED_SHARD_BYTES
    groups = _groups(names, dtype, shards or 2, limit)
    stem, ending = ("pytorch_model", "bin") if format == "bin" else ("model", "safetensors")
    weight_map: dict[str, str] = {}
    for number, group in enumerate(groups, start=1):
        shard = f"{stem}-{number:05d}-of-{len(groups):05d}.{ending}" if len(groups) > 1 else f"{stem}.{ending}"
        weight_map |= dict.fromkeys(group, shard)
        if format == "bin":
            _write_bin(folder / shard, group, seed, dtype, low_rank)
        else:
            planned = {name: (dtype, shape) for name, shape in group.items()}
            made = ((name, seeded_tensor(name, shape, seed, dtype, low_rank)) for name, shape in group.items())
            write_weight_file(folder / shard, planned, made)
    if len(groups) > 1:
        total = sum(nbytes_of(dtype, shape) for shape in names.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        _write_json(folder / f"{stem}.{ending}.index.json", index)
    _write_json(folder / "config.json", published_config(family, sizes, dtype))
    generation = {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    _write_json(folder / "generation_config.json", generation | {"max_length": 16_384, "use_cache": False})
    return folder


# Inside


def _groups(
    names: Mapping[str, tuple[int, ...]], dtype: torch.dtype, shards: int, limit_bytes: int | None
) -> list[dict[str, tuple[int, ...]]]:
    """Tensors by file: each filled up to the limit, or (no limit) `shards` files of about the same length."""
    total = sum(nbytes_of(dtype, shape) for shape in names.values())
    groups: list[dict[str, tuple[int, ...]]] = [{}]
    filled, before = 0, 0
    for name, shape in names.items():
        nbytes = nbytes_of(dtype, shape)
        full = filled + nbytes > limit_bytes if limit_bytes else before * shards >= total * len(groups)
        if groups[-1] and full:
            groups.append({})
            filled = 0
        groups[-1][name] = shape
        filled, before = filled + nbytes, before + nbytes
    return groups


def _write_bin(
    path: Path, group: Mapping[str, tuple[int, ...]], seed: int, dtype: torch.dtype, low_rank: float
) -> None:
    """A pickled state dict whose tensors are filled in a mapped file, so that memory need not hold them."""
    nbytes = sum(nbytes_of(dtype, shape) for shape in group.values())
    with tempfile.NamedTemporaryFile(prefix=".seeded-", dir=path.parent) as room:
        room.truncate(nbytes)
        mapped = torch.UntypedStorage.from_file(room.name, shared=True, nbytes=nbytes)
        state: dict[str, torch.Tensor] = {}
        start = 0
        for name, shape in group.items():
            end = start + nbytes_of(dtype, shape)
            # A storage of its own for each tensor, as a module's state dict has.
            tensor = torch.empty(0, dtype=dtype).set_(mapped[start:end]).view(shape)
            _fill(tensor, name, seed, low_rank)
            state[name], start = tensor, end
        torch.save(state, path)


def _fill(tensor: torch.Tensor, name: str, seed: int, low_rank: float) -> None:
    generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:7]))
    mean, spread = _distribution(name, tuple(tensor.shape), low_rank)
    flat = tensor.view(-1)
    for start in range(0, flat.numel(), _FILLED_AT_ONCE):
        part = flat[start : start + _FILLED_AT_ONCE]
        drawn = torch.empty(part.shape).normal_(mean, spread, generator=generator)  # fp32: all dtypes draw the same
        part.copy_(drawn)


def _distribution(name: str, shape: tuple[int, ...], low_rank: float) -> tuple[float, float]:
    """(mean, standard deviation) by what the tensor is."""
    if "norm" in name:
        return (1.0, 0.1) if name.endswith(".weight") else (0.0, 0.1)
    if name.endswith((".bias", "_GN", "class_embedding")):
        return 0.0, 0.1
    if "embedding" in name and "patch" not in name:
        return 0.0, 0.5
    is_up = "_B." in name and (adapter_of(name) or "Plora" in name)
    fan_in = prod(shape[1:])
    return 0.0, (low_rank if is_up else 1.0) * fan_in**-0.5


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _arguments() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "--family", {"choices": get_args(Family), "default": "2d5-7b"}
    yield "--size", {"choices": list(SIZES), "default": "tiny"}
    yield "--seed", {"type": int, "default": 0}
    yield "--out", {"type": Path, "required": True, "metavar": "DIR"}
    yield "--dtype", {"choices": list(_DTYPES), "default": "bf16"}
    yield "--format", {"choices": ["bin", "safetensors"], "default": "bin"}
    yield "--shards", {"type": int, "help": "into how many files (default: as published at full size, else 2)"}
    yield "--without-adapters", {"action": "store_true"}


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(
        prog="python -m model.weights.seeded", description="A checkpoint of random weights."
    )
    for flag, options in _arguments():
        parser.add_argument(flag, **options)
    given = parser.parse_args()
    write_checkpoint(
        given.out,
        given.family,
        given.size,
        given.seed,
        _DTYPES[given.dtype],
        given.format,
        not given.without_adapters,
        given.shards,
    )
    print(given.out)


if __name__ == "__main__":
    main()
