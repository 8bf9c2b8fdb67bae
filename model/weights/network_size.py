"""Network size: how large a network is made, and the config, ours and the publishers', that goes with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import torch
from transformers import CLIPVisionConfig

from interleaf.errors import InvalidBrief
from model.network.config import LINEARS, Family, XComposerConfig
from model.weights.published import PUBLISHED_IMAGE_TOKEN_ID, PUBLISHED_VOCAB_SIZE

__all__ = ["SIZES", "NetworkSize", "SizeName", "config_of_size", "published_config", "size_of"]

SizeName = Literal["tiny", "small", "full"]


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
