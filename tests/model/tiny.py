"""Tiny networks with random weights, and the same network written down once more, one row after another.

`straight_line` is an independent reading of the published formulas: no batches, no cache, no gathering of rows, no
fused anything. Tests hold the real network against it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from model.network.config import LINEARS, XComposerConfig
from model.network.xcomposer import XComposerForConditionalGeneration

PICTURE = 90  # the placeholder's id in the tiny vocabulary of 97


def tiny_config(**changes: Any) -> XComposerConfig:
    """A 2.5 in small: 2 layers, 4 heads over 2 key-value heads, tiles of 56 px with 4 × 4 patches."""
    vision = {
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "image_size": 56,
        "patch_size": 14,
    }
    values: dict[str, Any] = {
        "vocab_size": 97,
        "hidden_size": 32,
        "intermediate_size": 56,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "context_length": 256,
        "image_token_id": PICTURE,
        "tile_px": 56,
        "plora_rank": dict.fromkeys(LINEARS, 3),
        "vision_config": vision | changes.pop("vision", {}),
    }
    return XComposerConfig(**(values | changes))


def tiny_model(
    seed: int = 0, attention: str = "sdpa", dtype: torch.dtype = torch.float32, **changes: Any
) -> XComposerForConditionalGeneration:
    """A network with every parameter drawn, also those that would start at zero; the task adapters are attached."""
    torch.manual_seed(seed)
    model = XComposerForConditionalGeneration._from_config(tiny_config(**changes), attn_implementation=attention)
    adapters = {"lora_sft": 2, "lora_dpo": 3, "lora_web": 4}
    weights: dict[str, dict[str, Tensor]] = {name: {} for name in adapters}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.2)
            if name.endswith("norm.weight") or "norm1.weight" in name or "norm2.weight" in name:
                parameter.add_(1.0)
    for path, module in model.named_modules():
        if type(module).__name__ == "PartialLoraLinear":
            for name, rank in adapters.items():
                weights[name][f"{path}.{name}_A.weight"] = torch.randn(rank, module.in_features) * 0.3
                weights[name][f"{path}.{name}_B.weight"] = torch.randn(module.out_features, rank) * 0.3
    for name, tensors in weights.items():
        model.attach_adapter(name, tensors)
    return model.to(dtype).eval()


def llama_of(model: XComposerForConditionalGeneration, attention: str = "eager") -> LlamaForCausalLM:
    """transformers' Llama with the same weights: what the network is on text without adapters."""
    config = model.config
    llama = LlamaForCausalLM._from_config(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            num_key_value_heads=config.num_key_value_heads,
            max_position_embeddings=config.max_position_embeddings,
            rms_norm_eps=config.rms_norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            pad_token_id=config.pad_token_id,
        ),
        attn_implementation=attention,
    )
    own, width = model.state_dict(), config.head_dim
    groups, share = config.num_key_value_heads, config.num_attention_heads // config.num_key_value_heads
    state = {
        "model.embed_tokens.weight": own["model.tok_embeddings.weight"],
        "model.norm.weight": own["model.norm.weight"],
        "lm_head.weight": own["output.weight"],
    }
    for i in range(config.num_hidden_layers):
        ours, theirs = f"model.layers.{i}.", f"model.layers.{i}."
        fused = own[f"{ours}attention.wqkv.weight"].view(groups, share + 2, width, config.hidden_size)
        state |= {
            f"{theirs}self_attn.q_proj.weight": fused[:, :share].reshape(-1, config.hidden_size),
            f"{theirs}self_attn.k_proj.weight": fused[:, share].reshape(-1, config.hidden_size),
            f"{theirs}self_attn.v_proj.weight": fused[:, share + 1].reshape(-1, config.hidden_size),
            f"{theirs}self_attn.o_proj.weight": own[f"{ours}attention.wo.weight"],
            f"{theirs}mlp.gate_proj.weight": own[f"{ours}feed_forward.w1.weight"],
            f"{theirs}mlp.up_proj.weight": own[f"{ours}feed_forward.w3.weight"],
            f"{theirs}mlp.down_proj.weight": own[f"{ours}feed_forward.w2.weight"],
            f"{theirs}input_layernorm.weight": own[f"{ours}attention_norm.weight"],
            f"{theirs}post_attention_layernorm.weight": own[f"{ours}ffn_norm.weight"],
        }
    llama.load_state_dict(state)
    return llama.to(next(model.parameters()).dtype).eval()


# The second reading


def straight_line(
    model: XComposerForConditionalGeneration,
    embeds: Tensor,
    picture: Tensor,
    adapters: tuple[str, ...] = (),
    planned_length: int | None = None,
) -> Tensor:
    """(N, V) logits of one sequence of (N, H) embeddings, of which the rows in `picture` (N,) bool are pictures."""
    config, state = model.config, model.state_dict()
    width, heads = config.head_dim, config.num_attention_heads
    groups = config.num_key_value_heads
    share, length = heads // groups, len(embeds)

    def linear(path: str, x: Tensor) -> Tensor:
        rows = []
        for i in range(len(x)):
            y = state[f"{path}.weight"] @ x[i]
            for name in adapters:
                y = y + state[f"{path}.{name}_B.weight"] @ (state[f"{path}.{name}_A.weight"] @ x[i])
            if picture[i]:
                scale = (config.plora_scale or {})[path.rsplit(".", 1)[1]]
                y = y + scale * (state[f"{path}.Plora_B.weight"] @ (state[f"{path}.Plora_A.weight"] @ x[i]))
            rows.append(y)
        return torch.stack(rows)

    def norm(path: str, x: Tensor) -> Tensor:
        return x / torch.sqrt((x**2).mean(-1, keepdim=True) + config.rms_norm_eps) * state[f"{path}.weight"]

    total = planned_length or length
    base = config.rope_theta
    if config.rope_factor is not None and total > config.max_position_embeddings:
        f = config.rope_factor
        base *= (f * total / config.max_position_embeddings - (f - 1)) ** (width / (width - 2))

    def turned(vector: Tensor, position: int) -> Tensor:
        out = torch.empty_like(vector)
        for j in range(width // 2):
            angle = position / base ** (2 * j / width)
            a, b = vector[j], vector[j + width // 2]
            out[j] = a * math.cos(angle) - b * math.sin(angle)
            out[j + width // 2] = b * math.cos(angle) + a * math.sin(angle)
        return out

    x = embeds
    for layer in range(config.num_hidden_layers):
        path = f"model.layers.{layer}"
        fused = linear(f"{path}.attention.wqkv", norm(f"{path}.attention_norm", x)).view(
            length, groups, share + 2, width
        )
        seen = torch.zeros(length, heads, width)
        for head in range(heads):
            group = head // share
            keys = [turned(fused[j, group, share], j) for j in range(length)]
            for i in range(length):
                query = turned(fused[i, group, head % share], i)
                scores = torch.stack([query @ keys[j] for j in range(i + 1)]) / math.sqrt(width)
                seen[i, head] = torch.softmax(scores, 0) @ fused[: i + 1, group, share + 1]
        x = x + linear(f"{path}.attention.wo", seen.reshape(length, heads * width))
        inner = norm(f"{path}.ffn_norm", x)
        gate, up = linear(f"{path}.feed_forward.w1", inner), linear(f"{path}.feed_forward.w3", inner)
        x = x + linear(f"{path}.feed_forward.w2", gate / (1 + torch.exp(-gate)) * up)
    return norm("model.norm", x) @ state["output.weight"].T
