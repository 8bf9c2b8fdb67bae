"""Published: which family a checkpoint is of, and the whole config that its own config.json tells only in part.

Recognised by fields and shapes, never by `model_type`, which the publishers changed from copy to copy. Ranks, the
tower's sizes, the projector and whatever config.json leaves out are read from the tensors; what no tensor tells
(the number of heads, the rotary base, the norm's epsilon) from config.json.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from huggingface_hub.errors import StrictDataclassError
from transformers import CLIPVisionConfig

from interleaf.errors import CheckpointInvalid, shown
from model.network.config import Family, XComposerConfig
from model.weights.shape_table import MAX_LAYERS, Shapes, ShapeTable
from model.weights.tensor_list import LAYER, TOWER, tensor_list

__all__ = ["PUBLISHED_IMAGE_TOKEN_ID", "PUBLISHED_VOCAB_SIZE", "config_of", "expected", "family_of", "rope_of"]

PUBLISHED_VOCAB_SIZE: Final = 92_544
# [UNUSED_TOKEN_1]: the first reserved piece that no published program gives a meaning.
PUBLISHED_IMAGE_TOKEN_ID: Final = 92_398
# Dynamic NTK was announced for four times the trained length (24,576 -> 98,304).
STRETCH: Final = 4
# The 4KHD packed projection was built with the constructor's defaults left in place: rank 8, alpha 16.
SCALED_RANK: Final = 8
TEXT_HEAD_WIDTH: Final = 128
TOWER_HEAD_WIDTH: Final = 64

_TAKE_ANOTHER: Final = "Take a checkpoint of InternLM-XComposer-2.5, 2-4KHD, 2-VL or 2."
_ONE_PLACE: Final = "Take config.json and weights from one place."


def config_of(published_config: Mapping[str, Any], shapes: Shapes) -> XComposerConfig:
    """The config of a checkpoint in the published form, out of its config.json and its tensors' shapes.

    CheckpointInvalid names what is of another family, missing, or contradicts itself. Shapes that differ from layer
    to layer, or from what config.json states, are no error here: held against `expected`, each odd one is named.
    """
    _refuse_others(published_config, shapes)
    table, read = ShapeTable(shapes), _Fields(published_config)
    family = family_of(published_config, shapes)
    rows, columns = table.matrix("model.tok_embeddings.weight")
    vocab_size, hidden_size = read.whole("vocab_size", rows), read.whole("hidden_size", columns)
    heads = read.whole("num_attention_heads", hidden_size // TEXT_HEAD_WIDTH or 1)
    trained_length = read.whole("max_position_embeddings", 2_048)
    rope, ranks = rope_of(published_config), table.plora_ranks()
    vision, merge = _vision(read, table), table.merge()
    scaled = family == "4khd-7b" and ranks.get("wqkv") == SCALED_RANK
    values: dict[str, Any] = {
        "family": family,
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "intermediate_size": read.whole("intermediate_size", table.most("feed_forward.w1.weight")[0]),
        "num_hidden_layers": read.whole("num_hidden_layers", table.layers(LAYER), MAX_LAYERS),
        "num_attention_heads": heads,
        "num_key_value_heads": _key_value_heads(read, table, hidden_size, heads),
        "hidden_act": read.one_of("hidden_act", ("silu",)),
        "max_position_embeddings": trained_length,
        "context_length": trained_length * (STRETCH if rope["rope_type"] == "dynamic" else 1),
        "rms_norm_eps": read.number("rms_norm_eps", 1e-6),
        "initializer_range": read.number("initializer_range", 0.02),
        "rope_parameters": rope,
        "bos_token_id": read.token("bos_token_id", 1, vocab_size),
        "eos_token_id": read.token("eos_token_id", 2, vocab_size),
        "pad_token_id": read.token("pad_token_id", 2, vocab_size),
        "image_token_id": PUBLISHED_IMAGE_TOKEN_ID if vocab_size == PUBLISHED_VOCAB_SIZE else vocab_size - 1,
        "tile_px": vision.image_size if merge > 1 else None,
        "merge": merge,
        "separators": merge > 1,
        "padding_side": "centre" if family == "4khd-7b" else "end",
        "plora_rank": ranks,
        "plora_scale": {"wqkv": 2.0} if scaled else {},
        "adapter_rank": table.adapter_ranks(),
        "vision_config": vision,
    }
    try:
        return XComposerConfig(**values)
    except (StrictDataclassError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointInvalid("config.json", f"holds values that do not fit ({shown(error)}).", _ONE_PLACE) from error


def expected(config: XComposerConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of the published checkpoint of this config, name to shape; `is_optional` ones may be absent."""
    return tensor_list(config)


def family_of(published_config: Mapping[str, Any], shapes: Shapes) -> Family:
    """Which published family this is.

    A projector that takes single patches is XComposer2's or 2-VL's; `img_size` says so too, and where the two
    disagree the weights are believed. Of the tiled ones, task adapters are had by 2.5 alone and fixed rotary
    positions by 4KHD alone; a 2.5 without its adapters is told by its tower.
    """
    table, rope = ShapeTable(shapes), rope_of(published_config)
    if table.merge() == 1:
        if rope.get("factor", 1.0) > 1.0:
            return "2-vl-1.8b"
        return "2-7b" if published_config.get("img_size", table.grid() * 14) == 224 else "2-vl-7b"
    if table.adapter_ranks():
        return "2d5-7b"
    return "4khd-7b" if rope["rope_type"] == "default" or table.grid() == 24 else "2d5-7b"


def rope_of(published_config: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary parameters in the new form, out of the old (`rope_scaling`, `rope_theta`) or the new (`rope_parameters`).

    CheckpointInvalid for kinds that no family has.
    """
    given = published_config.get("rope_parameters") or published_config.get("rope_scaling") or {}
    if not isinstance(given, Mapping):
        raise CheckpointInvalid("config.json", f"rope_scaling is {shown(given)!r}, not an object.", _TAKE_ANOTHER)
    read = _Fields(given)
    theta = read.number("rope_theta", _Fields(published_config).number("rope_theta", 10_000.0))
    kind = given.get("rope_type") or given.get("type") or "default"
    if kind == "default":
        return {"rope_type": "default", "rope_theta": theta}
    if kind != "dynamic":
        problem = f"rotary positions are of kind {shown(kind)!r}; the families have 'dynamic' or none."
        raise CheckpointInvalid("config.json", problem, _TAKE_ANOTHER)
    factor = read.number("factor", 1.0)
    if factor < 1.0:
        raise CheckpointInvalid("config.json", f"the rotary factor {factor} is below 1.", _TAKE_ANOTHER)
    return {"rope_type": "dynamic", "factor": factor, "rope_theta": theta}


# Inside


class _Fields:
    """Values of a stranger's JSON object, with their kinds checked."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given

    def whole(self, key: str, default: int, most: int = 2**31 - 1) -> int:
        value = default if self.given.get(key) is None else self.given[key]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
            problem = f"{key} is {shown(value)!r}, not a whole number from 1 to {most}."
            raise CheckpointInvalid("config.json", problem, _TAKE_ANOTHER)
        return value

    def number(self, key: str, default: float) -> float:
        value = default if self.given.get(key) is None else self.given[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            problem = f"{key} is {shown(value)!r}, not a positive number."
            raise CheckpointInvalid("config.json", problem, _TAKE_ANOTHER)
        return float(value)

    def token(self, key: str, default: int, vocab_size: int) -> int:
        value = self.given.get(key)
        if isinstance(value, list) and value:
            value = value[0]
        if value is None:
            return min(default, vocab_size - 1)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < vocab_size:
            problem = f"{key} is {shown(value)!r}, not an id of the vocabulary of {vocab_size}."
            raise CheckpointInvalid("config.json", problem, _TAKE_ANOTHER)
        return value

    def one_of(self, key: str, known: tuple[str, ...]) -> str:
        value = known[0] if self.given.get(key) is None else self.given[key]
        if value not in known:
            problem = f"{key} is {shown(value)!r}; the families have {' or '.join(known)}."
            raise CheckpointInvalid("config.json", problem, _TAKE_ANOTHER)
        return str(value)


def _refuse_others(published_config: Mapping[str, Any], shapes: Shapes) -> None:
    if "model.tok_embeddings.weight" in shapes and "vision_proj.0.weight" in shapes:
        if any(".Plora_A." in name for name in shapes):
            return
        what = "it has no low-rank path for pictures (Plora_A)"
    elif "num_query_token" in published_config or "internlm_lora" in published_config:
        what = "it is an InternLM-XComposer of the first generation, which is another network"
    elif "model.embed_tokens.weight" in shapes or "lm_head.weight" in shapes:
        kind = published_config.get("model_type", "unknown")
        what = f"its tensors are named as those of a Llama-like language model (model_type {shown(kind)})"
    elif "model.tok_embeddings.weight" in shapes:
        what = "it is an InternLM2 language model without the picture parts (vision_proj, vit)"
    else:
        some = ", ".join(shown(name) for name in sorted(shapes)[:3]) or "none at all"
        what = f"its tensors are unknown ({some})"
    raise CheckpointInvalid("checkpoint", f"is not of an XComposer2 family: {what}.", _TAKE_ANOTHER)


def _key_value_heads(read: _Fields, table: ShapeTable, hidden_size: int, heads: int) -> int:
    """Key-value heads, which the packed projection's rows tell once the number of heads is known."""
    head_dim = hidden_size // heads
    rows = table.most("attention.wqkv.weight")[0]
    told = (rows // head_dim - heads) // 2 if head_dim else 0
    if told > 0 and (heads + 2 * told) * head_dim == rows:
        return read.whole("num_key_value_heads", told)
    problem = f"attention.wqkv.weight has {rows} rows; {heads} heads of width {head_dim} cannot make them."
    raise CheckpointInvalid("checkpoint", problem, _ONE_PLACE)


def _vision(read: _Fields, table: ShapeTable) -> CLIPVisionConfig:
    given = read.given.get("vision_config") or {}
    if not isinstance(given, Mapping):
        raise CheckpointInvalid("config.json", f"vision_config is {shown(given)!r}, not an object.", _TAKE_ANOTHER)
    stated = _Fields(given)
    width, channels, patch, _ = table.tower("embeddings.patch_embedding.weight")
    image_px = table.grid() * patch
    stated_px = read.given.get("img_size")
    if stated_px is not None and table.merge() == 1 and stated_px != image_px:
        problem = f"img_size is {shown(stated_px)} and the position table is for {image_px} px."
        raise CheckpointInvalid("config.json", problem, _ONE_PLACE)
    if table.merge() > 1 and table.grid() % 2:
        raise CheckpointInvalid("checkpoint", f"tiles of {table.grid()} patches cannot be merged by 2.", _ONE_PLACE)
    heads = stated.whole("num_attention_heads", width // TOWER_HEAD_WIDTH or 1)
    if width % heads:
        raise CheckpointInvalid("config.json", f"a tower of width {width} cannot have {heads} heads.", _ONE_PLACE)
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=table.tower("encoder.layers.0.mlp.fc1.weight")[0],
        num_hidden_layers=table.layers(f"{TOWER}encoder.layers."),
        num_attention_heads=heads,
        num_channels=channels,
        image_size=image_px,
        patch_size=patch,
        hidden_act=stated.one_of("hidden_act", ("quick_gelu", "gelu")),
        layer_norm_eps=stated.number("layer_norm_eps", 1e-5),
        attention_dropout=0.0,
        projection_dim=stated.whole("projection_dim", 768),
    )
