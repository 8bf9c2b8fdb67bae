"""Families are told by fields and shapes; their tensor lists have the published counts and lengths."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interleaf.errors import CheckpointInvalid
from model.network.config import Family, XComposerConfig
from model.weights.checkpoint import check, open_checkpoint
from model.weights.network_size import config_of_size, published_config, size_of
from model.weights.published import config_of, expected, rope_of
from model.weights.tensor_list import is_optional

GOLDEN = Path(__file__).resolve().parents[3].parent / "shared" / "eval" / "xcomposer-golden"
FAMILIES = get_args(Family)
BF16_BYTES = 2


def _published(family: Family, size: str = "tiny", *, adapters: bool = True, **changes: Any) -> tuple[Any, Any]:
    """config.json and shapes of a checkpoint as its publishers cut it: without the tower's last norm."""
    sizes = size_of(family, size, **changes)
    shapes = expected(config_of_size(family, sizes, adapters=adapters))
    return published_config(family, sizes, torch.bfloat16), {n: s for n, s in shapes.items() if not is_optional(n)}


@pytest.mark.parametrize(
    ("family", "count", "nbytes"),
    [
        ("2d5-7b", 1_902, 22_191_464_448),
        ("4khd-7b", 942, 17_194_999_808),
        ("2-vl-7b", 940, 17_333_676_032),
        ("2-7b", 940, 17_331_691_520),
    ],
)
def test_full_size_has_the_published_tensors(family: Family, count: int, nbytes: int) -> None:
    """The counts are those of the published indexes; the lengths round to the published files' (22.19, 17.2, …)."""
    _, shapes = _published(family, "full")
    assert len(shapes) == count
    assert sum(prod(shape) for shape in shapes.values()) * BF16_BYTES == nbytes


def test_published_shapes_of_two_point_five() -> None:
    _, shapes = _published("2d5-7b", "full")
    assert shapes["model.layers.31.attention.wqkv.weight"] == (6_144, 4_096)
    assert shapes["model.layers.0.feed_forward.w2.weight"] == (4_096, 14_336)
    assert shapes["model.layers.0.feed_forward.w2.Plora_A.weight"] == (256, 14_336)
    assert shapes["model.layers.0.attention.wqkv.lora_web_B.weight"] == (6_144, 512)
    assert shapes["plora_glb_GN"] == (1, 1, 4_096) and shapes["plora_sub_GN"] == (1, 1, 1, 4_096)
    assert shapes["vit.vision_tower.vision_model.embeddings.position_embedding.weight"] == (1_601, 1_024)
    assert shapes["vision_proj.0.weight"] == (4_096, 4_096)
    _, four_khd = _published("4khd-7b", "full")
    assert four_khd["model.layers.0.attention.wqkv.Plora_A.weight"] == (8, 4_096)
    assert four_khd["model.layers.0.attention.wo.Plora_A.weight"] == (256, 4_096)
    _, two_vl = _published("2-vl-7b", "full")
    assert two_vl["vision_proj.0.weight"] == (4_096, 1_024)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", ["tiny", "small", "full"])
def test_the_config_comes_back_whole(family: Family, size: str) -> None:
    """Everything that a full config has is read out of a thin config.json and the shapes."""
    published, shapes = _published(family, size)
    assert config_of(published, shapes).to_dict() == config_of_size(family, size_of(family, size)).to_dict()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("model_type", ["internlm", "internlm2", "internlmxcomposer2", "llama", None])
def test_model_type_decides_nothing(family: Family, model_type: str | None) -> None:
    published, shapes = _published(family, "full")
    assert config_of(published | {"model_type": model_type}, shapes).family == family


@settings(max_examples=40, deadline=None)
@given(
    family=st.sampled_from(FAMILIES),
    layers=st.integers(1, 4),
    kv_heads=st.integers(1, 4),
    group=st.integers(1, 4),
    head_width=st.sampled_from([8, 16, 32]),
    rank=st.integers(1, 20),
    vocab=st.integers(50, 900),
    vision_heads=st.integers(1, 4),
    vision_layers=st.integers(1, 3),
)
def test_sizes_are_read_from_shapes(
    family: Family,
    layers: int,
    kv_heads: int,
    group: int,
    head_width: int,
    rank: int,
    vocab: int,
    vision_heads: int,
    vision_layers: int,
) -> None:
    """With config.json reduced to what no shape tells, the same config comes out."""
    sizes = size_of(
        family,
        layers=layers,
        heads=kv_heads * group,
        kv_heads=kv_heads,
        hidden=kv_heads * group * head_width,
        plora_rank=rank,
        vocab=vocab,
        vision_heads=vision_heads,
        vision_hidden=vision_heads * 16,
        vision_layers=vision_layers,
    )
    wanted = config_of_size(family, sizes)
    published = published_config(family, sizes, torch.float32)
    kept = {"num_attention_heads", "rope_scaling", "rope_theta", "rms_norm_eps", "max_position_embeddings"}
    thin = {key: value for key, value in published.items() if key in kept | {"vision_config", "img_size"}}
    assert config_of(thin, expected(wanted)).to_dict() == wanted.to_dict()


def test_the_packed_projection_of_4khd_counts_double_at_rank_8_only() -> None:
    assert config_of(*_published("4khd-7b")).plora_scale == {
        "wqkv": 2.0,
        "wo": 1.0,
        "w1": 1.0,
        "w3": 1.0,
        "w2": 1.0,
    }
    published, shapes = _published("4khd-7b")
    for name in [n for n in shapes if "wqkv.Plora" in n]:
        shapes[name] = (12, shapes[name][1]) if "_A" in name else (shapes[name][0], 12)
    assert config_of(published, shapes).plora_scale["wqkv"] == 1.0
    assert config_of(*_published("2d5-7b", plora_rank=8)).plora_scale["wqkv"] == 1.0


def test_two_point_five_without_its_adapters_is_still_that() -> None:
    """The OmniLive copies have no adapters, but long-video weights that nobody reads."""
    published, shapes = _published("2d5-7b", adapters=False)
    config = config_of(published, shapes | {"video_mem_proj.0.weight": (64, 24)})
    assert (config.family, config.adapter_rank, config.padding_side) == ("2d5-7b", {}, "end")
    assert config_of(published | {"rope_scaling": None}, shapes).family == "4khd-7b"


@pytest.mark.parametrize(
    ("given_values", "wanted"),
    [
        ({}, {"rope_type": "default", "rope_theta": 10_000.0}),
        ({"rope_scaling": None, "rope_theta": 1_000_000}, {"rope_type": "default", "rope_theta": 1e6}),
        (
            {"rope_scaling": {"type": "dynamic", "factor": 2.0}, "rope_theta": 1_000_000},
            {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e6},
        ),
        (
            {"rope_scaling": {"rope_type": "dynamic", "factor": 1.0}, "rope_theta": 1_000_000},
            {"rope_type": "dynamic", "factor": 1.0, "rope_theta": 1e6},
        ),
        (
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1_000_000.0}},
            {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e6},
        ),
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "rope_theta": 5.0},
            {"rope_type": "default", "rope_theta": 1e6},
        ),
    ],
)
def test_old_and_new_rotary_forms(given_values: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert rope_of(given_values) == wanted


@pytest.mark.parametrize(
    "bad",
    [
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_scaling": {"type": "dynamic", "factor": 0.5}},
        {"rope_scaling": {"type": "dynamic", "factor": "2"}},
        {"rope_scaling": "dynamic"},
        {"rope_theta": float("nan")},
        {"num_attention_heads": 0},
        {"num_attention_heads": 10**12},
        {"num_attention_heads": True},
        {"num_hidden_layers": 10**6},
        {"num_attention_heads": 5},
        {"num_key_value_heads": "two"},
        {"hidden_act": "relu"},
        {"pad_token_id": 10**6},
        {"vision_config": [1]},
        {"vision_config": {"num_attention_heads": 7}},
        {"vision_config": {"hidden_act": "os.system"}},
    ],
    ids=str,
)
def test_values_that_no_family_has_are_refused(bad: dict[str, Any]) -> None:
    published, shapes = _published("2d5-7b")
    with pytest.raises(CheckpointInvalid):
        config_of(published | bad, shapes)


def test_other_networks_are_named() -> None:
    llama = {"model.embed_tokens.weight": (10, 8), "lm_head.weight": (10, 8)}
    with pytest.raises(CheckpointInvalid, match="Llama-like"):
        config_of({"model_type": "llama"}, llama)
    with pytest.raises(CheckpointInvalid, match="without the picture parts"):
        config_of({}, {"model.tok_embeddings.weight": (10, 8)})
    with pytest.raises(CheckpointInvalid, match="first generation"):
        config_of({"num_query_token": 64}, {"internlm_proj.weight": (4, 4)})
    with pytest.raises(CheckpointInvalid, match="no low-rank path"):
        published, shapes = _published("2-7b")
        config_of(published, {n: s for n, s in shapes.items() if "Plora" not in n})
    with pytest.raises(CheckpointInvalid, match="unknown"):
        config_of({}, {})


def test_pieces_of_two_checkpoints_do_not_pass() -> None:
    published, shapes = _published("2-vl-7b")
    with pytest.raises(CheckpointInvalid, match="img_size is 224 and the position table is for 490 px"):
        config_of(published | {"img_size": 224}, shapes)
    position = "vit.vision_tower.vision_model.embeddings.position_embedding.weight"
    with pytest.raises(CheckpointInvalid, match="no square picture"):
        config_of(published, shapes | {position: (1_227, 48)})
    with pytest.raises(CheckpointInvalid, match="neither 1 nor 4 times"):
        config_of(published, shapes | {"vision_proj.0.weight": (64, 100)})


def test_ids_and_lengths() -> None:
    full = config_of(*_published("2d5-7b", "full"))
    assert (full.image_token_id, full.context_length, full.tile_px) == (92_398, 98_304, 560)
    tiny = config_of(*_published("2d5-7b"))
    assert (tiny.image_token_id, tiny.context_length) == (599, 4_096)
    assert config_of(*_published("4khd-7b", "full")).context_length == 32_768  # positions are never stretched
    assert config_of(*_published("2-7b", "full")).tile_px is None


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden checkpoint is not beside the repository")
def test_the_golden_checkpoint() -> None:
    checkpoint = open_checkpoint(GOLDEN)
    config = check(checkpoint)
    assert isinstance(config, XComposerConfig) and config.family == "2d5-7b"
    assert expected(config) == checkpoint.shapes  # 189 tensors, its post_layernorm among them
    assert (
        config.vision_config.num_attention_heads
        == json.loads((GOLDEN / "config.json").read_text())["vision_config"]["num_attention_heads"]
    )
    assert config.plora_rank == dict.fromkeys(("wqkv", "wo", "w1", "w3", "w2"), 12)
    assert config.adapter_rank == {"lora_sft": 6, "lora_dpo": 6, "lora_web": 10}
    assert set(config.plora_scale.values()) == {1.0}
