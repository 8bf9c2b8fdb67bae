"""Config: the sizes of an InternLM-XComposer network and what sets the published families apart.

A checkpoint's own config.json says too little (neither ranks nor the vision tower's sizes) and its model_type
nothing reliable; published.py makes this config out of it. Here stands everything that the network needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from huggingface_hub.dataclasses import strict
from transformers import CLIPVisionConfig, PreTrainedConfig

__all__ = ["ADAPTERS_OF_TASK", "LINEARS", "Family", "Task", "XComposerConfig"]

Family = Literal["2d5-7b", "4khd-7b", "2-vl-7b", "2-7b", "2-vl-1.8b"]
Task = Literal["base", "write", "web"]

# The five linears of a layer, each with its own low-rank path for picture rows.
LINEARS: Final = ("wqkv", "wo", "w1", "w3", "w2")
# Low-rank pairs that work together for a task; they act on every row.
ADAPTERS_OF_TASK: Final[Mapping[str, tuple[str, ...]]] = {
    "base": (),
    "write": ("lora_sft", "lora_dpo"),
    "web": ("lora_web",),
}


@strict
class XComposerConfig(PreTrainedConfig):
    """Sizes and variants. The defaults are those of InternLM-XComposer-2.5-7b.

    `tile_px`: edge of the square tiles a picture is cut into; None: the whole picture is squeezed into one square.
    `merge`: how many patches of a row and a column become one vector (2: four patches side by side).
    `separators`: whether learned vectors end each row and part the overview from the tiles.
    `padding_side`: where a partly filled row of tiles stands: `end` (2.5) or `centre` (4KHD).
    `plora_rank`: of the picture rows' low-rank path, by linear; its output is scaled by `plora_scale`.
    `adapter_rank`: of the task adapters that the checkpoint has; they are loaded when asked for.
    `merged_task`: the task whose adapters were added into the weights when the checkpoint was converted.
    `image_token_id`: stands for one picture vector in `input_ids`; a piece that text never becomes.
    `context_length`: most tokens, prompt and answer, that may be asked for; rotary positions are stretched up to it.
    """

    model_type: ClassVar[str] = "interleaf_xcomposer"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    sub_configs_defaults: ClassVar[dict[str, Any]] = {"vision_config": CLIPVisionConfig}

    family: str = "2d5-7b"
    vocab_size: int = 92_544
    hidden_size: int = 4_096
    intermediate_size: int = 14_336
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 8
    hidden_act: str = "silu"
    max_position_embeddings: int = 24_576
    context_length: int = 98_304
    rms_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    rope_parameters: dict[str, Any] | None = None
    use_cache: bool = True
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 2
    tie_word_embeddings: bool = False
    attention_dropout: float = 0.0

    image_token_id: int = 92_398
    tile_px: int | None = 560
    merge: int = 2
    separators: bool = True
    padding_side: str = "end"
    plora_rank: dict[str, int] | None = None
    plora_scale: dict[str, float] | None = None
    adapter_rank: dict[str, int] | None = None
    merged_task: str = "base"
    vision_config: Any = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.rope_parameters is None and not kwargs.get("rope_scaling"):
            self.rope_parameters = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1_000_000.0}
        if self.plora_rank is None:
            self.plora_rank = dict.fromkeys(LINEARS, 256)
        self.plora_scale = dict.fromkeys(self.plora_rank, 1.0) | (self.plora_scale or {})
        if self.adapter_rank is None:
            self.adapter_rank = {}
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def rope_theta(self) -> float:
        """Rotary base within the trained length."""
        return float((self.rope_parameters or {})["rope_theta"])

    @property
    def rope_factor(self) -> float | None:
        """Factor by which dynamic NTK stretches beyond `max_position_embeddings`; None: never."""
        parameters = self.rope_parameters or {}
        return float(parameters["factor"]) if parameters.get("rope_type") == "dynamic" else None

    @property
    def picture_width(self) -> int:
        """Width of the vision tower's vectors after merging: what the projector takes in."""
        return int(self.vision_config.hidden_size) * self.merge**2

    def validate_architecture(self) -> None:
        """Called by transformers. ValueError for sizes that do not fit one another."""
        if self.hidden_size % self.num_attention_heads or self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size}, {self.num_attention_heads} heads and "
                f"{self.num_key_value_heads} key-value heads do not divide one another"
            )
        if self.padding_side not in ("end", "centre"):
            raise ValueError(f"padding_side is {self.padding_side!r}, not 'end' or 'centre'")
        if set(self.plora_rank or {}) - set(LINEARS):
            raise ValueError(f"plora_rank names {sorted(set(self.plora_rank or {}) - set(LINEARS))}; known: {LINEARS}")
        if not 0 <= self.image_token_id < self.vocab_size:
            raise ValueError(f"image_token_id {self.image_token_id} lies outside the vocabulary of {self.vocab_size}")
