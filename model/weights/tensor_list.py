"""Tensor list: the names and shapes that a checkpoint of a given config has, in the published order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from model.network.config import LINEARS, XComposerConfig

__all__ = ["LAYER", "TOWER", "adapter_of", "is_ignored", "is_optional", "linear_path", "linear_shapes", "tensor_list"]

TOWER: Final = "vit.vision_tower.vision_model."
LAYER: Final = "model.layers."

_PARENT: Final = {
    "wqkv": "attention",
    "wo": "attention",
    "w1": "feed_forward",
    "w3": "feed_forward",
    "w2": "feed_forward",
}
_ADAPTER: Final = re.compile(r"\.(lora_[a-z0-9]{1,20})_[AB]\.weight$")
# Buffers that old transformers saved and nobody reads, and the long-video memory of the OmniLive copies.
_IGNORED: Final = re.compile(r"\.rotary_emb\.|\.position_ids$|^video_mem_proj\.")


def tensor_list(config: XComposerConfig, *, adapters: bool = True) -> dict[str, tuple[int, ...]]:
    """Every tensor of the checkpoint, name to shape, `post_layernorm` included (see `is_optional`).

    `adapters`: with the task adapters that `config.adapter_rank` names; without them it is the main weights' list.
    """
    return dict(_text(config, adapters)) | dict(_tower(config)) | dict(_projector(config))


def is_optional(name: str) -> bool:
    """Whether a checkpoint may lack this tensor: the tower's last norm, which no output passes through."""
    return name.startswith(f"{TOWER}post_layernorm.")


def is_ignored(name: str) -> bool:
    """Whether a checkpoint may hold this tensor although the network has no place for it."""
    return _IGNORED.search(name) is not None


def adapter_of(name: str) -> str | None:
    """The task adapter that a tensor belongs to, such as `lora_sft`; None for the main weights."""
    found = _ADAPTER.search(name)
    return found[1] if found else None


def linear_path(layer: int, linear: str) -> str:
    """Where a linear of a layer stands: `model.layers.3.attention.wqkv`."""
    return f"{LAYER}{layer}.{_PARENT[linear]}.{linear}"


def linear_shapes(config: XComposerConfig) -> dict[str, tuple[int, int]]:
    """(out, in) of the five linears of a layer."""
    width, inner = config.hidden_size, config.intermediate_size
    packed = (config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim
    attended = config.num_attention_heads * config.head_dim
    return {
        "wqkv": (packed, width),
        "wo": (width, attended),
        "w1": (inner, width),
        "w3": (inner, width),
        "w2": (width, inner),
    }


def _text(config: XComposerConfig, adapters: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    width = config.hidden_size
    if config.separators:
        yield "plora_glb_GN", (1, 1, config.picture_width)
        yield "plora_sub_GN", (1, 1, 1, config.picture_width)
    yield "model.tok_embeddings.weight", (config.vocab_size, width)
    shapes = linear_shapes(config)
    plora_rank = config.plora_rank or {}
    adapter_rank = (config.adapter_rank or {}) if adapters else {}
    for layer in range(config.num_hidden_layers):
        for linear in LINEARS:
            path = linear_path(layer, linear)
            out_width, in_width = shapes[linear]
            yield f"{path}.weight", (out_width, in_width)
            pairs = [("Plora", plora_rank[linear])] if linear in plora_rank else []
            for pair, rank in [*pairs, *adapter_rank.items()]:
                yield f"{path}.{pair}_A.weight", (rank, in_width)
                yield f"{path}.{pair}_B.weight", (out_width, rank)
        yield f"{LAYER}{layer}.attention_norm.weight", (width,)
        yield f"{LAYER}{layer}.ffn_norm.weight", (width,)
    yield "model.norm.weight", (width,)
    yield "output.weight", (config.vocab_size, width)


def _tower(config: XComposerConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    vision = config.vision_config
    width, inner, patch = vision.hidden_size, vision.intermediate_size, vision.patch_size
    places = (vision.image_size // patch) ** 2 + 1
    yield f"{TOWER}embeddings.class_embedding", (width,)
    yield f"{TOWER}embeddings.patch_embedding.weight", (width, vision.num_channels, patch, patch)
    yield f"{TOWER}embeddings.position_embedding.weight", (places, width)
    yield from _with_bias(f"{TOWER}pre_layrnorm", (width,))
    for layer in range(vision.num_hidden_layers):
        path = f"{TOWER}encoder.layers.{layer}."
        for projection in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield from _with_bias(f"{path}self_attn.{projection}", (width, width))
        yield from _with_bias(f"{path}layer_norm1", (width,))
        yield from _with_bias(f"{path}mlp.fc1", (inner, width))
        yield from _with_bias(f"{path}mlp.fc2", (width, inner))
        yield from _with_bias(f"{path}layer_norm2", (width,))
    yield from _with_bias(f"{TOWER}post_layernorm", (width,))


def _projector(config: XComposerConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _with_bias("vision_proj.0", (config.hidden_size, config.picture_width))
    yield from _with_bias("vision_proj.2", (config.hidden_size, config.hidden_size))


def _with_bias(path: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{path}.weight", shape
    yield f"{path}.bias", shape[:1]
