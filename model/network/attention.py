"""Attention of a layer: grouped queries over a cache, without masks that nobody needs and without repeated keys.

Letters: B batch, N new positions, P positions in the cache before, L = P + N, H query heads, G key-value heads,
D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.cache_utils import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from model.network.config import XComposerConfig
from model.network.plora import PartialLoraLinear, Rows
from model.network.rotary import rotated

__all__ = ["Attention", "causal_mask"]


def causal_mask(attention_mask: Tensor | None, batch: int, new: int, past: int, device: torch.device) -> Tensor | None:
    """(B or 1, 1, N, L) bool, True where a query may look; None where plain causal order says it all.

    `attention_mask`: (B, L), 0 for padding; None: no padding. A padding query looks at itself, so that no row is
    empty. At most N × L values for each sequence: long prompts come here in chunks."""
    if attention_mask is None and (new == 1 or past == 0):
        return None
    total = past + new
    queries = torch.arange(past, total, device=device)[:, None]
    keys = torch.arange(total, device=device)[None]
    allowed = (keys <= queries)[None, None]  # (1, 1, N, L)
    if attention_mask is not None:
        allowed = allowed & attention_mask[:, None, None, :total].bool() | (keys == queries)[None, None]
    return allowed


def _eager(module: Attention, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **kwargs: Any) -> Any:
    """The formula, for those who want to see the weights; mask is additive, (B, 1, N, L)."""
    batch, heads, new, width = query.shape
    groups = key.shape[1]
    scores = query.view(batch, groups, heads // groups, new, width) @ key[:, :, None].transpose(-1, -2)
    scores = scores.view(batch, heads, new, -1) * module.scaling
    if mask is not None:
        scores = scores + mask
    weights = functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = functional.dropout(weights, kwargs.get("dropout", 0.0), module.training)
    seen = weights.view(batch, groups, heads // groups, new, -1) @ value[:, :, None]
    return seen.view(batch, heads, new, width).transpose(1, 2).contiguous(), weights


class Attention(nn.Module):
    """wqkv in one matrix, its output rows grouped by key-value head: H / G queries, a key, a value."""

    def __init__(self, config: XComposerConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.groups, self.head_dim = config.num_key_value_heads, config.head_dim
        self.queries_per_group = config.num_attention_heads // self.groups
        self.num_key_value_groups = self.queries_per_group  # transformers' attention functions ask for this name
        self.scaling = self.head_dim**-0.5
        self.is_causal = True
        ranks, scales = config.plora_rank or {}, config.plora_scale or {}
        wide = (config.num_attention_heads + 2 * self.groups) * self.head_dim
        inner = config.num_attention_heads * self.head_dim
        self.wqkv = PartialLoraLinear(config.hidden_size, wide, ranks.get("wqkv", 0), scales.get("wqkv", 1.0))
        self.wo = PartialLoraLinear(inner, config.hidden_size, ranks.get("wo", 0), scales.get("wo", 1.0))

    def forward(
        self,
        x: Tensor,
        table: tuple[Tensor, Tensor],
        mask: Tensor | None,
        own: bool,
        rows: Rows | None,
        past_key_values: Cache | None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """(B, N, hidden) → (B, N, hidden), and weights where the implementation gives them.

        `own`: attend here, with a bool mask or none; otherwise by the configured implementation of transformers,
        with the mask that it wants."""
        batch, new, _ = x.shape
        heads = self.wqkv(x, rows).view(batch, new, self.groups, self.queries_per_group + 2, self.head_dim)
        query = heads[..., : self.queries_per_group, :].flatten(2, 3).transpose(1, 2)  # (B, H, N, D)
        key, value = heads[..., -2, :].transpose(1, 2), heads[..., -1, :].transpose(1, 2)  # (B, G, N, D)
        query, key = rotated(query, *table), rotated(key, *table)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        weights = None
        if own:
            seen = self._attend(query, key, value, mask)
        else:
            attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, _eager)
            dropout = self.config.attention_dropout if self.training else 0.0
            seen, weights = attend(self, query, key, value, mask, dropout=dropout, scaling=self.scaling, **kwargs)
            seen = seen.reshape(batch, new, -1)
        return self.wo(seen, rows), weights

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """(B, H, N, D) queries over (B, G, L, D) → (B, N, H · D)."""
        batch, heads, new, width = query.shape
        dropout = self.config.attention_dropout if self.training else 0.0
        if new == 1:
            # The queries of a group stand side by side as if they were positions: nothing is repeated, and one
            # position needs no causal order. 1.6 to 24 times as fast as enable_gqa on a CPU.
            folded = query.reshape(batch, self.groups, self.queries_per_group, width)
            seen = functional.scaled_dot_product_attention(folded, key, value, mask, dropout, scale=self.scaling)
            return seen.reshape(batch, 1, heads * width)
        if mask is not None and query.is_cuda:
            # With a mask the kernels that know groups are out, and the plain formula would hold all scores.
            key, value = (x.repeat_interleave(self.queries_per_group, dim=1) for x in (key, value))
        seen = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            mask,
            dropout,
            is_causal=mask is None,
            scale=self.scaling,
            enable_gqa=key.shape[1] != heads,
        )
        return seen.transpose(1, 2).reshape(batch, new, heads * width)
