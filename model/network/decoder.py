"""Decoder: InternLM2 layers in which every linear has a low-rank path for picture rows.

Letters: B batch, N new positions, P positions in the cache before, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer

from interleaf.errors import PromptTooLong, Unsupported
from model.network.attention import Attention, causal_mask
from model.network.cache import LengthCache
from model.network.config import ADAPTERS_OF_TASK, XComposerConfig
from model.network.plora import PartialLoraLinear, Rows
from model.network.rotary import inverse_frequencies, rotary_base, rotary_table

__all__ = ["Decoder", "Layer", "RMSNorm"]

PREFILL_CHUNK: Final = 2_048


class RMSNorm(nn.Module):
    """x / rms(x), computed in float32 and cast back before it meets the weight."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """(…, H) → (…, H)."""
        if x.dtype == torch.float32:
            return nn.functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)
        return self.weight * nn.functional.rms_norm(x.float(), self.weight.shape, None, self.epsilon).to(x.dtype)


class FeedForward(nn.Module):
    """w2(act(w1 x) · w3 x)."""

    def __init__(self, config: XComposerConfig) -> None:
        super().__init__()
        ranks, scales = config.plora_rank or {}, config.plora_scale or {}

        def linear(name: str, inside: int, outside: int) -> PartialLoraLinear:
            return PartialLoraLinear(inside, outside, ranks.get(name, 0), scales.get(name, 1.0))

        self.w1 = linear("w1", config.hidden_size, config.intermediate_size)
        self.w3 = linear("w3", config.hidden_size, config.intermediate_size)
        self.w2 = linear("w2", config.intermediate_size, config.hidden_size)
        self.act = ACT2FN[config.hidden_act]

    def forward(self, x: Tensor, rows: Rows | None) -> Tensor:
        """(B, N, H) → (B, N, H)."""
        hidden: Tensor = self.w2(self.act(self.w1(x, rows)) * self.w3(x, rows), rows)
        return hidden


class Layer(GradientCheckpointingLayer):
    """x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, config: XComposerConfig, layer_idx: int) -> None:
        super().__init__()
        self.attention = Attention(config, layer_idx)
        self.feed_forward = FeedForward(config)
        self.attention_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.ffn_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        x: Tensor,
        table: tuple[Tensor, Tensor],
        mask: Tensor | None,
        own: bool,
        rows: Rows | None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """(B, N, H) → (B, N, H); see Attention for the rest."""
        seen, _ = self.attention(self.attention_norm(x), table, mask, own, rows, past_key_values, **kwargs)
        x = x + seen
        hidden: Tensor = x + self.feed_forward(self.ffn_norm(x), rows)
        return hidden


class Decoder(nn.Module):
    """Embeddings in, hidden states out; long prompts in chunks."""

    def __init__(self, config: XComposerConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList([Layer(config, i) for i in range(config.num_hidden_layers)])
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.prefill_chunk = PREFILL_CHUNK

    def forward(
        self,
        inputs_embeds: Tensor,
        picture_mask: Tensor | None = None,
        tasks: Sequence[str] = ("base",),
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        planned_length: int | Sequence[int] | None = None,
        last_only: int = 0,
        **kwargs: Any,
    ) -> Tensor:
        """(B, N, H) embeddings → (B, N, H) hidden states after the last norm.

        `picture_mask`: (B, N) bool, True for picture rows; None: none. `tasks`: one for all sequences, or one each.
        `attention_mask`: (B, P + N), 0 for padding. `planned_length`: tokens that the request will have at most,
        for all sequences or each; padding not counted.
        `last_only`: how many positions at the end are wanted (0: all); others may be left out of the answer.
        PromptTooLong when prompt or plan pass the context length."""
        batch, new, _ = inputs_embeds.shape
        if batch % len(tasks):
            raise Unsupported("task", f"{len(tasks)} tasks came for {batch} sequences.", "Give one, or one each.")
        tasks = [task for task in tasks for _ in range(batch // len(tasks))]  # beams of a sequence share its task
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        planned = self._planned(batch, past, new, past_key_values, planned_length)
        own = self._own(attention_mask, past_key_values)
        if own and attention_mask is not None and not self._has_padding(attention_mask, past_key_values, new):
            attention_mask = None
        whole = new <= self.prefill_chunk or not own or torch.is_grad_enabled()
        if not whole and past_key_values is None:
            past_key_values = LengthCache(self.config.num_hidden_layers, new)
        hidden = []
        for start in range(0, new, new if whole else self.prefill_chunk):
            end = new if whole else min(new, start + self.prefill_chunk)
            x = self._run(
                inputs_embeds[:, start:end],
                self._rows(
                    picture_mask if picture_mask is None else picture_mask[:, start:end],
                    tasks,
                    batch,
                    end - start,
                    inputs_embeds.device,
                ),
                attention_mask if attention_mask is None or not own else attention_mask[:, : past + end],
                position_ids if position_ids is None else position_ids[..., start:end],
                past_key_values,
                past + start,
                planned,
                own,
                **kwargs,
            )
            if not last_only or new - end < last_only:
                hidden.append(x)
        return hidden[0] if len(hidden) == 1 else torch.cat(hidden, dim=1)

    def _run(
        self,
        x: Tensor,
        rows: Rows | None,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        past_key_values: Cache | None,
        past: Any,
        planned: Sequence[int],
        own: bool,
        **kwargs: Any,
    ) -> Tensor:
        batch, new, _ = x.shape
        if position_ids is None:
            position_ids = self._positions(attention_mask, batch, new, past, x.device)
        if own:
            mask = causal_mask(attention_mask, batch, new, past, x.device)
        else:
            theirs: Any = create_causal_mask  # a tensor, a BlockMask or None, as the implementation wants
            mask = theirs(
                config=self.config,
                inputs_embeds=x,
                attention_mask=attention_mask,
                past_key_values=past_key_values,
                position_ids=position_ids,
            )
        config = self.config
        bases = [
            rotary_base(config.rope_theta, config.rope_factor, config.head_dim, config.max_position_embeddings, length)
            for length in planned
        ]
        if len(set(bases)) == 1:
            frequencies = inverse_frequencies(bases[0], config.head_dim, x.device)
        else:
            each = [inverse_frequencies(base, config.head_dim, x.device) for base in bases]
            frequencies = torch.stack(each)[:, None, None]  # (B, 1, 1, D / 2)
        table = rotary_table(position_ids, frequencies, x.dtype)
        for layer in self.layers:
            x = layer(x, table, mask, own, rows, past_key_values, **kwargs)
        normed: Tensor = self.norm(x)
        return normed

    def _own(self, attention_mask: Tensor | None, cache: Cache | None) -> bool:
        """Whether attention runs here (SDPA, a cache of known length) or by transformers' functions."""
        known = cache is None or type(cache) in (LengthCache, DynamicCache)
        flat = attention_mask is None or (isinstance(attention_mask, Tensor) and attention_mask.dim() == 2)
        return self.config._attn_implementation == "sdpa" and known and flat

    def _has_padding(self, attention_mask: Tensor, cache: Cache | None, new: int) -> bool:
        """Looks at the mask once for each prompt; a decode step asks the cache, for looking waits for the device."""
        if isinstance(cache, LengthCache) and cache.padded is not None and new == 1:
            return cache.padded
        padded = not bool(attention_mask.all())
        if isinstance(cache, LengthCache):
            cache.padded = padded
        return padded

    def _planned(
        self, batch: int, past: Any, new: int, cache: Cache | None, planned_length: int | Sequence[int] | None
    ) -> Sequence[int]:
        """How long each request will be at most, in tokens: one number for all, or one each. PromptTooLong when that
        does not fit."""
        if isinstance(cache, LengthCache):
            planned_length = cache.planned_length = planned_length or cache.planned_length
        if isinstance(planned_length, Sequence):
            totals = [length for length in planned_length for _ in range(batch // len(planned_length))]
        elif isinstance(past, int):
            totals = [max(planned_length or 0, past + new)]
        else:  # a static cache counts on the device; its capacity is the plan
            totals = [planned_length or int(cache.get_max_length() if cache is not None else new)]
        if max(totals) > self.config.context_length:
            known = past if isinstance(past, int) else 0
            raise PromptTooLong(
                "prompt",
                f"{known + new:,} tokens and an answer up to {max(totals):,} in all do not fit into "
                f"{self.config.context_length:,}.",
                "Give fewer or smaller pictures (a smaller tile budget), less text, or ask for a shorter answer.",
            )
        return totals

    def _positions(
        self, attention_mask: Tensor | None, batch: int, new: int, past: Any, device: torch.device
    ) -> Tensor:
        """(B or 1, N): counted over what is not padding."""
        if attention_mask is not None and attention_mask.dim() == 2:
            counted = attention_mask.long().cumsum(-1) - 1
            return counted.masked_fill(attention_mask == 0, 1)[:, -new:]
        positions: Tensor = torch.arange(new, device=device) + past
        return positions[None]

    def _rows(
        self, picture_mask: Tensor | None, tasks: Sequence[str], batch: int, new: int, device: torch.device
    ) -> Rows | None:
        """Where the low-rank paths act: picture rows from the mask, task rows from the (known) tasks."""
        picture = None
        if picture_mask is not None:
            found = picture_mask.reshape(-1).nonzero().squeeze(-1)
            picture = found if len(found) else None
        adapters = []
        for name in sorted({name for task in set(tasks) for name in self._adapters(task)}):
            members = [b for b in range(batch) if name in self._adapters(tasks[b % len(tasks)])]
            adapters.append((name, None if len(members) == batch else _rows_of(tuple(members), new, device)))
        return Rows(picture, tuple(adapters)) if picture is not None or adapters else None

    def _adapters(self, task: str) -> tuple[str, ...]:
        """Adapters of a task. Unsupported for an unknown task, or one that merging has made impossible."""
        if task not in ADAPTERS_OF_TASK:
            raise Unsupported("task", f"{task!r} is not known.", f"Choose one of {', '.join(ADAPTERS_OF_TASK)}.")
        if self.config.merged_task == "base":
            return ADAPTERS_OF_TASK[task]
        if task != self.config.merged_task:
            raise Unsupported(
                "task",
                f"{task!r} cannot be done by a checkpoint into which {self.config.merged_task!r} was merged.",
                "Load the checkpoint that was converted without --merge.",
            )
        return ()


@lru_cache(maxsize=32)
def _rows_of(sequences: tuple[int, ...], new: int, device: torch.device) -> Tensor:
    """(S,) rows of these sequences over batch × positions. Kept, for bringing a list to a device waits for it, and
    each step of a batch asks for the same ones."""
    with torch.inference_mode(False):  # a request that teaches may ask for what one that only reads has made
        first = torch.tensor(sequences, device=device)[:, None] * new
        return (first + torch.arange(new, device=device)).reshape(-1)
