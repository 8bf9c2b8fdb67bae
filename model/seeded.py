"""Seeded: checkpoints in the published form with random weights, at any size: what tests and benchmarks live on.

    python -m model.seeded --family 2d5-7b --size tiny --seed 0 --out DIR

A tensor's values depend on the seed and its name alone, so that the same network comes out in one file or ten.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Final, Literal, get_args

import torch
from transformers import CLIPVisionConfig

from interleaf.errors import InvalidBrief
from model.config import LINEARS, Family, XComposerConfig
from model.published import PUBLISHED_IMAGE_TOKEN_ID, PUBLISHED_VOCAB_SIZE
from model.tensor_list import adapter_of, is_optional, tensor_list
from model.weight_file import nbytes_of, write_weight_file

__all__ = ["SIZES", "NetworkSize", "config_of_size", "published_config", "seeded_tensor", "size_of", "write_checkpoint"]

SizeName = Literal["tiny", "small", "full"]
# As transformers 4.33 cut the published files; the last digit counts only at full size.
PUBLISHED_SHARD_BYTES: Final = 10 * 10**9
_FILLED_AT_ONCE: Final = 2**22


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """Everything about a network's size; the family decides the rest."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int
    max_position: int
    plora_rank: int
    adapter_ranks: tuple[int, int, int]
    vision_layers: int
    vision_hidden: int
    vision_heads: int
    vision_intermediate: int
    image_px: int | None = None
    patch_px: int = 14


SIZES: Final[dict[str, NetworkSize]] = {
    "tiny": NetworkSize(2, 64, 4, 2, 112, 600, 1_024, 12, (6, 6, 10), 2, 48, 3, 96),
    # About a hundred million weights in the decoder.
    "small": NetworkSize(12, 768, 12, 4, 2_048, 16_384, 24_576, 64, (32, 32, 64), 4, 256, 4, 1_024),
    "full": NetworkSize(
        32, 4_096, 32, 8, 14_336, PUBLISHED_VOCAB_SIZE, 24_576, 256, (256, 256, 512), 24, 1_024, 16, 4_096
    ),
}
_IMAGE_PX: Final[dict[str, int]] = {"2d5-7b": 560, "4khd-7b": 336, "2-vl-7b": 490, "2-7b": 224, "2-vl-1.8b": 490}
_ROPE_FACTOR: Final[dict[str, float | None]] = {
    "2d5-7b": 2.0,
    "4khd-7b": None,
    "2-vl-7b": 1.0,
    "2-7b": 1.0,
    "2-vl-1.8b": 2.0,
}
_DTYPES: Final = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def size_of(family: Family, size: SizeName = "tiny", **changes: Any) -> NetworkSize:
    """The sizes of a family; `changes` are fields of `NetworkSize`. InvalidBrief for names that are not."""
    if family not in _IMAGE_PX:
        raise InvalidBrief("family", f"is {family!r}.", f"Known: {', '.join(_IMAGE_PX)}.")
    if size not in SIZES:
        raise InvalidBrief("size", f"is {size!r}.", f"Known: {', '.join(SIZES)}.")
    chosen = SIZES[size]
    if size == "full" and family == "2-vl-1.8b":
        chosen = replace(chosen, layers=24, hidden=2_048, heads=16, intermediate=8_192)
    if size != "tiny" and family != "2d5-7b":
        chosen = replace(chosen, max_position=32_768)
    unknown = sorted(set(changes) - set(NetworkSize.__slots__))
    if unknown:
        raise InvalidBrief("size", f"has no {', '.join(unknown)}.", f"Known: {', '.join(NetworkSize.__slots__)}.")
    return replace(chosen, **changes)


def config_of_size(family: Family, size: NetworkSize, *, adapters: bool = True) -> XComposerConfig:
    """The config whose tensors a checkpoint of this family and size has."""
    tiled = family in ("2d5-7b", "4khd-7b")
    ranks = dict.fromkeys(LINEARS, size.plora_rank) | ({"wqkv": 8} if family == "4khd-7b" else {})
    image_px = size.image_px or _IMAGE_PX[family]
    factor = _ROPE_FACTOR[family]
    rope: dict[str, Any] = {"rope_type": "default"} if factor is None else {"rope_type": "dynamic", "factor": factor}
    has_adapters = adapters and family == "2d5-7b"
    return XComposerConfig(
        family=family,
        vocab_size=size.vocab,
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=size.max_position,
        context_length=size.max_position * (1 if factor is None else 4),
        rope_parameters=rope | {"rope_theta": 1_000_000.0},
        image_token_id=PUBLISHED_IMAGE_TOKEN_ID if size.vocab == PUBLISHED_VOCAB_SIZE else size.vocab - 1,
        tile_px=image_px if tiled else None,
        merge=2 if tiled else 1,
        separators=tiled,
        padding_side="centre" if family == "4khd-7b" else "end",
        plora_rank=ranks,
        plora_scale={"wqkv": 2.0} if family == "4khd-7b" else {},
        adapter_rank=dict(zip(("lora_sft", "lora_dpo", "lora_web"), size.adapter_ranks, strict=True))
        if has_adapters
        else {},
        vision_config=CLIPVisionConfig(
            hidden_size=size.vision_hidden,
            intermediate_size=size.vision_intermediate,
            num_hidden_layers=size.vision_layers,
            num_attention_heads=size.vision_heads,
            image_size=image_px,
            patch_size=size.patch_px,
            hidden_act="quick_gelu",
            layer_norm_eps=1e-5,
            projection_dim=768,
        ),
    )


def published_config(family: Family, size: NetworkSize, dtype: torch.dtype) -> dict[str, Any]:
    """config.json as that family's publishers wrote it; `vision_config` is added where the tower is not theirs."""
    factor = _ROPE_FACTOR[family]
    tiled = family in ("2d5-7b", "4khd-7b")
    own_name = "InternLM2ForCausalLM" if family == "4khd-7b" else "InternLMXComposer2ForCausalLM"
    values: dict[str, Any] = {
        "architectures": [own_name],
        "attn_implementation": "flash_attention_2" if tiled else "eager",
        "auto_map": {
            "AutoConfig": "configuration_internlm_xcomposer2.InternLMXcomposer2Config",
            "AutoModelForCausalLM": f"modeling_internlm_xcomposer2.{own_name}",
        },
        "bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": size.hidden,
        "img_size": None if tiled else size.image_px or _IMAGE_PX[family],
        "initializer_range": 0.02,
        "intermediate_size": size.intermediate,
        "max_length": 16_384 if tiled else 4_096,
        "max_position_embeddings": size.max_position,
        "model_type": "internlm2" if family == "2d5-7b" else "internlmxcomposer2",
        "num_attention_heads": size.heads,
        "num_hidden_layers": size.layers,
        "num_key_value_heads": size.kv_heads,
        "pad_token_id": 2,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None if factor is None else {"factor": factor, "type": "dynamic"},
        "rope_theta": 1_000_000,
        "tie_word_embeddings": False,
        "torch_dtype": str(dtype).removeprefix("torch."),
        "transformers_version": "4.33.1",
        "use_cache": False,
        "vocab_size": size.vocab,
    }
    if tiled:
        del values["img_size"]
    theirs = SIZES["full"]
    if (size.vision_hidden, size.vision_layers) != (theirs.vision_hidden, theirs.vision_layers):
        values["vision_config"] = {
            "hidden_size": size.vision_hidden,
            "intermediate_size": size.vision_intermediate,
            "num_hidden_layers": size.vision_layers,
            "num_attention_heads": size.vision_heads,
            "image_size": size.image_px or _IMAGE_PX[family],
            "patch_size": size.patch_px,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-05,
        }
    return values


def seeded_tensor(name: str, shape: tuple[int, ...], seed: int, dtype: torch.dtype) -> torch.Tensor:
    """The values of one tensor: of such a spread that the signal neither dies nor grows from layer to layer."""
    out = torch.empty(shape, dtype=dtype)
    _fill(out, name, seed)
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
    **changes: Any,
) -> Path:
    """Write a checkpoint into `folder`, which is made; returns it.

    `format`: `bin` as published, or safetensors. `shards`: into how many files; None: as published at full size,
    two otherwise. `adapters`: with the task adapters, in the family that has them. `post_layernorm`: with the
    tower's last norm, which the published files lack. `changes`: fields of `NetworkSize`, such as `layers=4`.

    Memory holds one tensor; at `bin`, a file beside the shard holds it until it is packed.
    """
    sizes = size_of(family, size, **changes)
    config = config_of_size(family, sizes, adapters=adapters)
    names = {n: s for n, s in tensor_list(config).items() if post_layernorm or not is_optional(n)}
    folder.mkdir(parents=True, exist_ok=True)
    limit = None if shards or size != "full" else PUBLISHED_SHARD_BYTES
    groups = _groups(names, dtype, shards or 2, limit)
    stem, ending = ("pytorch_model", "bin") if format == "bin" else ("model", "safetensors")
    weight_map = {}
    for number, group in enumerate(groups, start=1):
        shard = f"{stem}-{number:05d}-of-{len(groups):05d}.{ending}" if len(groups) > 1 else f"{stem}.{ending}"
        weight_map |= dict.fromkeys(group, shard)
        if format == "bin":
            _write_bin(folder / shard, group, seed, dtype)
        else:
            planned = {name: (dtype, shape) for name, shape in group.items()}
            made = ((name, seeded_tensor(name, shape, seed, dtype)) for name, shape in group.items())
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


def _write_bin(path: Path, group: Mapping[str, tuple[int, ...]], seed: int, dtype: torch.dtype) -> None:
    """A pickled state dict whose tensors are filled in a mapped file, so that memory need not hold them."""
    nbytes = sum(nbytes_of(dtype, shape) for shape in group.values())
    with tempfile.NamedTemporaryFile(prefix=".seeded-", dir=path.parent) as room:
        room.truncate(nbytes)
        mapped = torch.UntypedStorage.from_file(room.name, shared=True, nbytes=nbytes)
        state, start = {}, 0
        for name, shape in group.items():
            end = start + nbytes_of(dtype, shape)
            # A storage of its own for each tensor, as a module's state dict has.
            tensor = torch.empty(0, dtype=dtype).set_(mapped[start:end], 0, shape)
            _fill(tensor, name, seed)
            state[name], start = tensor, end
        torch.save(state, path)


def _fill(tensor: torch.Tensor, name: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:7]))
    mean, spread = _distribution(name, tuple(tensor.shape))
    flat = tensor.view(-1)
    for start in range(0, flat.numel(), _FILLED_AT_ONCE):
        part = flat[start : start + _FILLED_AT_ONCE]
        drawn = torch.empty(part.shape).normal_(mean, spread, generator=generator)  # fp32: all dtypes draw the same
        part.copy_(drawn)


def _distribution(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """(mean, standard deviation) by what the tensor is."""
    if "norm" in name:
        return (1.0, 0.1) if name.endswith(".weight") else (0.0, 0.1)
    if name.endswith((".bias", "_GN", "class_embedding")):
        return 0.0, 0.1
    if "embedding" in name and "patch" not in name:
        return 0.0, 0.5
    # Low-rank pairs count for about a third of their linear: enough to be missed when forgotten.
    low_rank = 0.3 if adapter_of(name) or "Plora" in name else 1.0
    fan_in = prod(shape[1:])
    return 0.0, (low_rank if "_B." in name else 1.0) * fan_in**-0.5


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
    parser = argparse.ArgumentParser(prog="python -m model.seeded", description="A checkpoint of random weights.")
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
