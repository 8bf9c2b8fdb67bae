"""Benchmarks C2, C4, C5: the network against transformers' Llama with the same weights, in one process, alternating.

    python -m benchmarks.model [--sizes 100m,wide] [--rounds 5]

`100m`: 8 layers of width 512; `wide`: 4 layers of the published width (4,096), both with the published vocabulary of
92,544, random weights (seed 0, standard deviation 0.02), bfloat16, 2 threads. Llama gets the same matrices, wqkv cut
into its parts. Before anything is timed, both are held against one another (C19): the same greedy tokens in float32
on a small network, and logits within bfloat16's rounding on the networks that are timed.

C2: time to the first token of a 512-token prompt (logits of the last position only), Llama / ours.
C4: tokens per second of a batch of 16 over a batch of 1, one layer, decoding at position 512.
C5: a decode step at position 256 when the cache has room for 512 or for 16,384 tokens; beside it transformers'
    static cache under the same network.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, StaticCache

from model.network.cache import LengthCache
from model.network.config import LINEARS, XComposerConfig
from model.network.xcomposer import XComposerForConditionalGeneration

THREADS = 2
VOCABULARY = 92_544
SIZES: dict[str, dict[str, int]] = {
    "small": {"hidden_size": 64, "intermediate_size": 112, "num_hidden_layers": 3, "num_attention_heads": 4},
    "100m": {"hidden_size": 512, "intermediate_size": 1_792, "num_hidden_layers": 8, "num_attention_heads": 8},
    "wide": {"hidden_size": 4_096, "intermediate_size": 14_336, "num_hidden_layers": 4, "num_attention_heads": 32},
    "wide-1": {"hidden_size": 4_096, "intermediate_size": 14_336, "num_hidden_layers": 1, "num_attention_heads": 32},
}
KEY_VALUE_HEADS = {"small": 2, "100m": 2, "wide": 8, "wide-1": 8}


def network(
    size: str, dtype: torch.dtype, vocabulary: int = VOCABULARY, **changes: Any
) -> XComposerForConditionalGeneration:
    """Random weights, with the picture path; a vision tower of next to nothing. `changes` of the config."""
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    values: dict[str, Any] = {
        **SIZES[size],
        "num_key_value_heads": KEY_VALUE_HEADS[size],
        "vocab_size": vocabulary,
        "image_token_id": vocabulary - 1,
        "plora_rank": dict.fromkeys(LINEARS, 8 if size == "small" else 256),
        "vision_config": {**tower, "image_size": 56, "patch_size": 14},
    }
    config = XComposerConfig(**(values | changes))
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            model = XComposerForConditionalGeneration(config)
        model.to_empty(device="cpu")
    finally:
        torch.set_default_dtype(before)
    model.set_attn_implementation("sdpa")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name and parameter.dim() == 1:
                parameter.fill_(1.0)
            else:
                parameter.normal_(0.0, 0.02)
        for buffer_name, buffer in model.named_buffers():
            if buffer_name.endswith("position_ids"):
                buffer.copy_(torch.arange(buffer.shape[-1])[None])
    return model.eval()


def llama(model: XComposerForConditionalGeneration) -> LlamaForCausalLM:
    """Llama with the same matrices: those that need no cutting are shared, not copied."""
    config = model.config
    share = config.num_attention_heads // config.num_key_value_heads
    with torch.device("meta"):
        peer = LlamaForCausalLM._from_config(
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
            ),
            attn_implementation="sdpa",
        )
    own = dict(model.named_parameters())
    state: dict[str, Any] = {
        "model.embed_tokens.weight": own["model.tok_embeddings.weight"],
        "model.norm.weight": own["model.norm.weight"],
        "lm_head.weight": own["output.weight"],
    }
    for i in range(config.num_hidden_layers):
        at = f"model.layers.{i}."
        fused = own[f"{at}attention.wqkv.weight"].view(-1, share + 2, config.head_dim, config.hidden_size)
        state |= {
            f"{at}self_attn.q_proj.weight": fused[:, :share].reshape(-1, config.hidden_size).contiguous(),
            f"{at}self_attn.k_proj.weight": fused[:, share].reshape(-1, config.hidden_size).contiguous(),
            f"{at}self_attn.v_proj.weight": fused[:, share + 1].reshape(-1, config.hidden_size).contiguous(),
            f"{at}self_attn.o_proj.weight": own[f"{at}attention.wo.weight"],
            f"{at}mlp.gate_proj.weight": own[f"{at}feed_forward.w1.weight"],
            f"{at}mlp.up_proj.weight": own[f"{at}feed_forward.w3.weight"],
            f"{at}mlp.down_proj.weight": own[f"{at}feed_forward.w2.weight"],
            f"{at}input_layernorm.weight": own[f"{at}attention_norm.weight"],
            f"{at}post_attention_layernorm.weight": own[f"{at}ffn_norm.weight"],
        }
    peer.load_state_dict(state, assign=True)
    # Buffers are not in the state; the rotary frequencies are made again where there is memory.
    peer.model.rotary_emb = type(peer.model.rotary_emb)(peer.config)
    return peer.eval()


def ids_of(count: int, batch: int = 1, vocabulary: int = VOCABULARY) -> torch.Tensor:
    return torch.randint(3, vocabulary - 2, (batch, count), generator=torch.Generator().manual_seed(1))


def timed_s(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def alternated(calls: dict[str, Callable[[], Any]], rounds: int, repeat: int = 1) -> dict[str, float]:
    """Median seconds of each call over `rounds` × `repeat`, one of each in turn, so that what else the machine does
    falls on all of them; one round before that is thrown away."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range((rounds + 1) * repeat):
        for name, call in calls.items():
            seconds = timed_s(call)
            if turn >= repeat:
                taken[name].append(seconds)
    return {name: float(np.median(values)) for name, values in taken.items()}


def say(row: dict[str, Any]) -> None:
    print(json.dumps(row), flush=True)


def parity(model: XComposerForConditionalGeneration, peer: LlamaForCausalLM) -> dict[str, Any]:
    """How far the logits of a prompt lie apart, in parts of their spread; within bfloat16's rounding or no timing."""
    ids = ids_of(64)
    ours, theirs = model(ids).logits, peer(ids).logits.float()
    apart = float(((ours - theirs).abs() / theirs.std()).mean())
    if not apart < 0.02:
        raise SystemExit(f"the logits lie {apart:.3f} of their spread apart: nothing is timed")
    return {"C19": "logits beside Llama's, mean distance in parts of their spread", "is": round(apart, 5)}


def small_parity() -> dict[str, Any]:
    model = network("small", torch.float32, 600)
    peer, ids = llama(model), ids_of(20, 2, 600)
    settings: dict[str, Any] = {"max_new_tokens": 32, "do_sample": False, "eos_token_id": None, "pad_token_id": 2}
    same = model.generate(ids, **settings).tolist() == peer.generate(ids, **settings).tolist()
    apart = float((model(ids).logits - peer(ids).logits).abs().max())
    if not same or not apart < 1e-5:
        raise SystemExit(f"greedy tokens the same: {same}; logits {apart:.2e} apart: nothing is timed")
    return {"C19": "float32, small: 64 greedy tokens the same, largest distance of logits", "is": f"{apart:.1e}"}


def first_token(size: str, model: Any, peer: Any, rounds: int) -> dict[str, Any]:
    ids = ids_of(512)
    took = alternated(
        {
            "ours": lambda: model(ids, logits_to_keep=1, use_cache=True),
            "llama": lambda: peer(ids, logits_to_keep=1, use_cache=True),
            "llama without its head": lambda: peer.model(ids, use_cache=True),
        },
        rounds,
    )
    return {
        "C2": f"first token of 512, {size}",
        "ours s": round(took["ours"], 3),
        "llama s": round(took["llama"], 3),
        "llama without its head s": round(took["llama without its head"], 3),
        "llama / ours (goal 3)": round(took["llama"] / took["ours"], 2),
    }


def decoding(model: Any, batch: int, past: int, capacity: int, static: bool = False) -> Callable[[], Any]:
    """A call that decodes one token for each sequence at position `past`, again and again at the same place."""
    cache: Any = LengthCache(model.config.num_hidden_layers, capacity)
    if static:
        cache = StaticCache(config=model.config, max_cache_len=capacity)
    model(ids_of(past, batch), past_key_values=cache, logits_to_keep=1)
    token = ids_of(1, batch)

    def step() -> None:
        model(token, past_key_values=cache, planned_length=capacity)
        if static:
            for layer in cache.layers:
                layer.cumulative_length.fill_(past)
        else:
            cache.crop(-1)

    return step


def batch_of_16(model: Any, rounds: int) -> dict[str, Any]:
    took = alternated({"1": decoding(model, 1, 512, 600), "16": decoding(model, 16, 512, 600)}, rounds, repeat=5)
    return {
        "C4": "decode at 512, one layer of full width",
        "batch 1 ms": round(1e3 * took["1"], 2),
        "batch 16 ms": round(1e3 * took["16"], 2),
        "tokens/s of 16 over 1 (goal 12)": round(16 * took["1"] / took["16"], 2),
    }


def capacity(size: str, model: Any, rounds: int) -> dict[str, Any]:
    took = alternated(
        {
            "ours 512": decoding(model, 1, 256, 512),
            "ours 16,384": decoding(model, 1, 256, 16_384),
            "static 512": decoding(model, 1, 256, 512, static=True),
            "static 16,384": decoding(model, 1, 256, 16_384, static=True),
        },
        rounds,
        repeat=7,
    )
    return {
        "C5": f"decode at 256, {size}",
        **{f"{name} ms": round(1e3 * seconds, 2) for name, seconds in took.items()},
        "ours 16,384 / 512 (goal ≤ 1.05)": round(took["ours 16,384"] / took["ours 512"], 3),
        "static 16,384 / 512": round(took["static 16,384"] / took["static 512"], 2),
    }


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100m,wide")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(THREADS)
    print(
        f"{platform.machine()}, {THREADS} threads, torch {torch.__version__}, transformers {transformers.__version__}"
    )
    say(small_parity())
    for size in given.sizes.split(","):
        model = network(size, torch.bfloat16)
        peer = llama(model)
        say({"network": size, "parameters (millions)": round(sum(p.numel() for p in model.parameters()) / 1e6)})
        say(parity(model, peer))
        say(first_token(size, model, peer, given.rounds))
        say(capacity(size, model, given.rounds))
        del model, peer
    say(batch_of_16(network("wide-1", torch.bfloat16), given.rounds))


if __name__ == "__main__":
    main()
