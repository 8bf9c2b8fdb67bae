"""XComposer: the whole network as a class of transformers, with `generate` and everything that goes with it.

Parameter names are those of the published checkpoints. Where a picture stands in a prompt, `input_ids` carries the
placeholder id once for each of its vectors; which rows are pictures follows from that alone, so that padding,
batches, beams, cached steps and chunks need nothing further. Letters: B batch, N new positions, H hidden size,
V vocabulary, S tiles, P edge of a tile in px.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutputWithPooling, CausalLMOutputWithPast
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from interleaf.errors import PromptInvalid, WeightsUnusable
from model.network.attention import Attention
from model.network.cache import LengthCache
from model.network.config import XComposerConfig
from model.network.decoder import Decoder, Layer, RMSNorm
from model.network.plora import PartialLoraLinear
from model.network.tower import VisionTower, arranged

__all__ = ["XComposerForConditionalGeneration"]


class XComposerForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """InternLM-XComposer 2, 2-VL, 4KHD and 2.5, told apart by their config."""

    config_class = XComposerConfig
    config: XComposerConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    input_modalities = ["image", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _no_split_modules = ["Layer", "CLIPEncoderLayer"]  # noqa: RUF012 (transformers reads a list)
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": Layer, "attentions": OutputRecorder(Attention, index=1)}  # noqa: RUF012
    # Published files may lack the tower's last norm, which nobody reads, and may hold buffers of older code.
    _keys_to_ignore_on_load_missing = [r"vit\..*post_layernorm.*"]  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [r"rotary_emb", r"position_ids"]  # noqa: RUF012

    def __init__(self, config: XComposerConfig) -> None:
        super().__init__(config)
        self.model = Decoder(config)
        self.output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.vit = VisionTower(config)
        self.vision_proj = nn.Sequential(
            nn.Linear(config.picture_width, config.hidden_size),
            nn.GELU(),
            nn.Linear(config.hidden_size, config.hidden_size),
        )
        if config.separators:
            self.plora_glb_GN = nn.Parameter(torch.zeros(1, 1, config.picture_width))
            self.plora_sub_GN = nn.Parameter(torch.zeros(1, 1, 1, config.picture_width))
        self.post_init()  # type: ignore[no-untyped-call]

    # What transformers asks for

    def get_input_embeddings(self) -> nn.Module:
        return cast(nn.Module, self.model.tok_embeddings)

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.tok_embeddings = value

    def get_output_embeddings(self) -> nn.Module:
        return self.output

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.output = new_embeddings  # type: ignore[assignment]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, RMSNorm):
            nn.init.ones_(module.weight)
        elif isinstance(module, PartialLoraLinear) and module.rank:
            nn.init.zeros_(module.Plora_B.weight)  # a low-rank path that is not trained yet adds nothing

    # Pictures

    def get_image_features(
        self, pixel_values: Tensor, image_grids: Tensor | Sequence[tuple[int, int]] | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Vectors of pictures: `pooler_output` is a list with one (T, H) tensor for each.

        `pixel_values` (S, 3, P, P): for each picture its overview, then its tiles row by row; `image_grids` (n, 2):
        its tile rows and columns. Families with one square per picture need no grids."""
        if image_grids is None:
            grids = [(0, 0)] * len(pixel_values)
        else:
            listed = image_grids.tolist() if isinstance(image_grids, Tensor) else image_grids
            grids = [(int(rows), int(columns)) for rows, columns in listed]
        if self.config.separators != all(rows > 0 for rows, _ in grids) and grids:
            raise PromptInvalid(
                "image_grids", f"are {grids[:4]}, which does not fit this family of models.", "Use its own processor."
            )
        norm, first = self.vit.clip.pre_layrnorm.weight, cast(nn.Linear, self.vision_proj[0]).weight
        tiles = self.vit(pixel_values.to(norm.device, norm.dtype))
        row_end = self.plora_sub_GN if self.config.separators else None
        overview_end = self.plora_glb_GN if self.config.separators else None
        sequences = arranged(tiles.to(first.device), grids, row_end, overview_end)
        projected: Tensor = self.vision_proj(torch.cat(sequences)) if sequences else first.new_zeros(0, first.shape[0])
        vectors: Any = list(projected.split([len(s) for s in sequences]))  # of different lengths: a list of tensors
        return BaseModelOutputWithPooling(pooler_output=vectors)

    # Forward

    @capture_outputs(tie_last_hidden_states=False)  # type: ignore[untyped-decorator]  # output_hidden_states
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grids: Tensor | None = None,
        mm_encoder_outputs: Mapping[str, BaseModelOutputWithPooling] | None = None,
        picture_mask: Tensor | None = None,
        task: str | Sequence[str] = "base",
        planned_length: int | Sequence[int] | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Logits (B, kept, V) in float32.

        `input_ids` (B, N), or `inputs_embeds` (B, N, H) with `picture_mask` (B, N) for the rows that are pictures;
        pictures as pixels (see get_image_features) or, encoded before, as `mm_encoder_outputs["image"]`. `task`: which
        adapters act, one for all or one for each sequence. `planned_length`: most tokens each request will have,
        prompt and answer, from which rotary positions follow (`generate` sets it). `logits_to_keep`: the last n
        positions, or these; 0: all. PromptInvalid when pictures and placeholders do not fit, PromptTooLong."""
        if (input_ids is None) == (inputs_embeds is None):
            raise PromptInvalid("input_ids", "and inputs_embeds must not come together or not at all.", "Give one.")
        if inputs_embeds is None:
            assert input_ids is not None  # one of the two, see above
            inputs_embeds, picture_mask = self._embedded(input_ids, pixel_values, image_grids, mm_encoder_outputs)
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if use_cache and past_key_values is None and not self.training:
            past_key_values = LengthCache(self.config.num_hidden_layers)
        hidden = self.model(
            inputs_embeds=inputs_embeds,
            picture_mask=picture_mask,
            tasks=[task] if isinstance(task, str) else list(task),
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            planned_length=planned_length,
            last_only=logits_to_keep if isinstance(logits_to_keep, int) else 0,
            **kwargs,
        )
        logits = self.output(self._kept(hidden, logits_to_keep)).float()
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        found = CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)
        return found if return_dict is not False else found.to_tuple()

    def _kept(self, hidden: Tensor, logits_to_keep: int | Tensor) -> Tensor:
        """The hidden states whose logits are wanted, in memory of their own: the product with the vocabulary is many
        times slower on a slice (docs/performance.md)."""
        if isinstance(logits_to_keep, Tensor):
            return hidden[:, logits_to_keep].contiguous()
        if logits_to_keep and logits_to_keep < hidden.shape[1]:
            return hidden[:, -logits_to_keep:].clone(memory_format=torch.contiguous_format)
        return hidden

    def _embedded(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None,
        image_grids: Tensor | None,
        mm_encoder_outputs: Mapping[str, BaseModelOutputWithPooling] | None,
    ) -> tuple[Tensor, Tensor | None]:
        """(B, N, H) embeddings with picture vectors in their places, and the (B, N) mask of these, None without."""
        encoded = (mm_encoder_outputs or {}).get("image")
        if encoded is not None and pixel_values is not None:
            raise PromptInvalid("pixel_values", "came together with encoded pictures.", "Give one of the two.")
        if encoded is None and pixel_values is not None:
            encoded = self.get_image_features(pixel_values, image_grids)
        embeds: Tensor = self.model.tok_embeddings(input_ids)
        if encoded is None or encoded.pooler_output is None or not len(encoded.pooler_output):
            return embeds, None
        mask = input_ids == self.config.image_token_id
        vectors = torch.cat([v.reshape(-1, embeds.shape[-1]) for v in encoded.pooler_output])
        places = mask.reshape(-1).nonzero().squeeze(-1)
        if len(places) != len(vectors):
            raise PromptInvalid(
                "pictures",
                f"have {len(vectors):,} vectors for {len(places):,} placeholders in the prompt.",
                "Give each picture its placeholders, as the processor does.",
            )
        flat = embeds.reshape(-1, embeds.shape[-1]).index_copy(0, places, vectors.to(embeds.device, embeds.dtype))
        return flat.view_as(embeds), mask

    # Generation

    def _prepare_cache_for_generation(  # type: ignore[override]
        self, generation_config: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        """Our own cache where none is asked for, and the planned length, of which the rotary base is made."""
        model_kwargs.setdefault("planned_length", int(generation_config.max_length))
        wants_own = generation_config.cache_implementation is None and generation_config.use_cache is not False
        if wants_own and model_kwargs.get("past_key_values") is None:
            model_kwargs["past_key_values"] = LengthCache(
                self.config.num_hidden_layers, int(generation_config.max_length)
            )
            return
        prepare: Any = super()._prepare_cache_for_generation  # type: ignore[misc]
        prepare(generation_config, model_kwargs, *args, **kwargs)

    # Adapters

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the task adapters that are attached."""
        return next((m.adapters for m in self.modules() if isinstance(m, PartialLoraLinear)), ())

    def attach_adapter(self, name: str, weights: Mapping[str, Tensor]) -> None:
        """Take in a task adapter by its published names (`model.layers.0.attention.wqkv.lora_web_A.weight`, …).

        WeightsUnusable when one of the linears lacks its pair or a pair does not fit; then nothing has changed."""
        # A linear that is being taught lies one room deeper, under PEFT's wrapper.
        linears = [
            (path.removesuffix(".base_layer"), m)
            for path, m in self.named_modules()
            if isinstance(m, PartialLoraLinear)
        ]
        missing = [
            key
            for path, _ in linears
            for key in (f"{path}.{name}_A.weight", f"{path}.{name}_B.weight")
            if key not in weights
        ]
        if missing:
            raise WeightsUnusable(
                name, f"lacks {len(missing)} of its tensors, the first is {missing[0]}.", "Take the whole adapter."
            )
        done = []
        try:
            for path, linear in linears:
                linear.attach(name, weights[f"{path}.{name}_A.weight"], weights[f"{path}.{name}_B.weight"])
                done.append(linear)
        except WeightsUnusable:
            for linear in done:
                linear.detach_adapter(name)
            raise

    def detach_adapter(self, name: str) -> None:
        """Let go of a task adapter."""
        for module in self.modules():
            if isinstance(module, PartialLoraLinear):
                module.detach_adapter(name)
