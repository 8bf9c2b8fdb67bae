"""Key-value cache whose cost follows its length: room is taken once, and attention sees only what is filled.

transformers' own caches either copy everything at each token (dynamic) or let attention run over the whole
capacity and repeat it for grouped queries (static). Here a step writes its rows in place and reads a view.
Letters: B batch, G key-value heads, C capacity, L length filled, D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

__all__ = ["LengthCache", "LengthLayer", "Part"]

# (G, N, D) keys and values of each layer: N tokens of one sequence.
Part = Sequence[tuple[Tensor, Tensor]]

_FIRST_CAPACITY: Final = 256


class LengthLayer(CacheLayerMixin):
    """Keys and values of one layer: (B, G, C, D), of which the first L positions count."""

    is_compileable = False
    is_croppable = True
    is_sliding = False

    def __init__(self, capacity: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.capacity = capacity or _FIRST_CAPACITY
        self.length = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        batch, heads, _, width = key_states.shape
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = key_states.new_empty((batch, heads, self.capacity, width))
        self.values = value_states.new_empty((batch, heads, self.capacity, value_states.shape[-1]))
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append (B, G, N, D) keys and values; views of all that is filled, (B, G, L, D)."""
        end = self.length + key_states.shape[-2]
        if not self.is_initialized:
            self.capacity = max(self.capacity, end)
            self.lazy_initialization(key_states, value_states)
        elif end > self.capacity:
            self._grow(end)
        keys, values = self._held()
        keys[:, :, self.length : end].copy_(key_states)
        values[:, :, self.length : end].copy_(value_states)
        self.length = end
        return keys[:, :, :end], values[:, :, :end]

    def begin(self, keys: Sequence[Sequence[Tensor]], values: Sequence[Sequence[Tensor]]) -> None:
        """Start with what each sequence has already, (G, N, D) pieces side by side; their ends lie at one place, and
        zeros before the shorter ones."""
        self.length = max(sum(piece.shape[1] for piece in own) for own in keys)
        self.capacity = max(self.capacity, self.length)
        known = next(piece for own in keys for piece in own).expand(len(keys), -1, -1, -1)
        self.lazy_initialization(known, known)
        for held, sequences in zip(self._held(), (keys, values), strict=True):
            for row, own in enumerate(sequences):
                at = self.length - sum(piece.shape[1] for piece in own)
                held[row, :, :at] = 0  # numbers, for what is not looked at is still multiplied by nought
                for piece in own:
                    held[row, :, at : at + piece.shape[1]] = piece
                    at += piece.shape[1]

    def part(self, row: int, start: int) -> tuple[Tensor, Tensor]:
        """(G, N, D) keys and values of a sequence from position `start` on: views."""
        keys, values = self._held()
        return keys[row, :, start : self.length], values[row, :, start : self.length]

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def reset(self) -> None:
        """Forget what is filled; the room stays."""
        self.length = 0

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last −`tokens_to_remove` positions (transformers passes a negative number)."""
        self.length = max(0, self.length + min(0, tokens_to_remove))

    def reorder_cache(self, beam_idx: Tensor) -> None:
        if self.length:
            self._select(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each sequence `repeats` times, side by side."""
        if self.is_initialized:
            keys, _ = self._held()
            self._select(torch.arange(keys.shape[0], device=keys.device).repeat_interleave(repeats))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these sequences."""
        if self.is_initialized:
            self._select(indices)

    def _held(self) -> tuple[Tensor, Tensor]:
        assert self.keys is not None and self.values is not None  # initialised by every way that leads here
        return self.keys, self.values

    def _select(self, indices: Tensor) -> None:
        """Sequences by index, in place when their number stays: only what is filled is moved."""
        keys, values = self._held()
        indices = indices.to(keys.device)
        if len(indices) == keys.shape[0]:
            for held in (keys, values):
                held[:, :, : self.length] = held[:, :, : self.length].index_select(0, indices)
        else:
            self.keys, self.values = keys.index_select(0, indices), values.index_select(0, indices)

    def _grow(self, needed: int) -> None:
        """Twice the room, so that a token costs the same however many there are."""
        keys, values = self._held()
        self.capacity = max(needed, 2 * self.capacity)
        for name, held in (("keys", keys), ("values", values)):
            larger = held.new_empty((*held.shape[:2], self.capacity, held.shape[-1]))
            larger[:, :, : self.length] = held[:, :, : self.length]
            setattr(self, name, larger)


class LengthCache(Cache):
    """One LengthLayer per layer. `capacity` tokens are given room at the first use; more are taken when needed.

    `padded` remembers whether the sequences have padding, so that a decode step need not look (on a GPU, wait)."""

    def __init__(self, layers: int, capacity: int | None = None) -> None:
        super().__init__(layers=[LengthLayer(capacity) for _ in range(layers)])
        self.padded: bool | None = None
        self.planned_length: int | Sequence[int] | None = None

    def begin(self, rows: Sequence[Sequence[Part]]) -> None:
        """Start with what each sequence has already, in parts that follow one another; see LengthLayer."""
        own_layers: Any = self.layers
        for number, layer in enumerate(own_layers):
            pairs = [[part[number] for part in parts] for parts in rows]
            layer.begin([[keys for keys, _ in own] for own in pairs], [[values for _, values in own] for own in pairs])

    def part(self, row: int, start: int) -> Part:
        """Keys and values of a sequence from position `start` on: views."""
        own_layers: Any = self.layers
        return [layer.part(row, start) for layer in own_layers]

    def reset(self) -> None:
        """Forget all sequences; the room stays."""
        super().reset()  # type: ignore[no-untyped-call]
        self.padded = self.planned_length = None
