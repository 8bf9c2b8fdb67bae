"""Partial LoRA: a linear whose low-rank path acts on picture rows only, and task adapters that act on all of them.

y = W x; rows of pictures get scale · B(A x) on top (PLoRA); rows of a task get the sum of its adapters' B(A x).
Text rows cost nothing extra: the rows are gathered, and where there are none nothing is computed. Parameter names
are the published ones. Letters: R rows of a forward (batch × positions), S ⊆ R those that a path acts on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from interleaf.errors import Unsupported, WeightsUnusable

__all__ = ["PartialLoraLinear", "Rows", "merged"]

# Of the picture path, while training (the published value).
DROPOUT: Final = 0.05


@dataclass(frozen=True)
class Rows:
    """Which rows of a forward, counted over batch × positions, each low-rank path acts on.

    `picture`: (S,) int64, or None where there are none. `adapters`: (name, (S,) int64 or None for all rows)."""

    picture: Tensor | None = None
    adapters: tuple[tuple[str, Tensor | None], ...] = ()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Rows:
        """The same rows on another device; called when layers lie on several."""

        def moved(rows: Tensor | None) -> Tensor | None:
            return None if rows is None else rows.to(device, non_blocking=non_blocking)

        return Rows(moved(self.picture), tuple((name, moved(rows)) for name, rows in self.adapters))


class PartialLoraLinear(nn.Linear):
    """A linear without bias, with a low-rank path of `rank` for picture rows (0: none); adapters are attached later."""

    def __init__(self, in_features: int, out_features: int, rank: int, scale: float = 1.0) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.rank, self.scale = rank, scale
        self.adapters: tuple[str, ...] = ()
        if rank:
            self.Plora_A = nn.Linear(in_features, rank, bias=False)
            self.Plora_B = nn.Linear(rank, out_features, bias=False)

    def forward(self, x: Tensor, rows: Rows | None = None) -> Tensor:
        """(…, in) → (…, out)."""
        y = functional.linear(x, self.weight)
        if rows is None or (rows.picture is None and not rows.adapters):
            return y
        flat_x, flat_y = x.reshape(-1, self.in_features), y.view(-1, self.out_features)
        for name, some in rows.adapters:
            down, up = self._pair(name)
            if some is None:
                flat_y.add_(up(down(flat_x)))
            else:
                flat_y.index_add_(0, some, up(down(flat_x.index_select(0, some))))
        if rows.picture is not None and self.rank:
            inside = functional.dropout(flat_x.index_select(0, rows.picture), DROPOUT, self.training)
            flat_y.index_add_(0, rows.picture, self.Plora_B(self.Plora_A(inside)), alpha=self.scale)
        return y

    def attach(self, name: str, down: Tensor, up: Tensor) -> None:
        """Take in an adapter: A (rank, in) and B (out, rank). WeightsUnusable when they do not fit."""
        rank = down.shape[0]
        if down.shape != (rank, self.in_features) or up.shape != (self.out_features, rank):
            raise WeightsUnusable(
                name,
                f"has A {tuple(down.shape)} and B {tuple(up.shape)} for a linear of "
                f"{self.in_features} to {self.out_features}.",
                "Take the adapters of the same checkpoint.",
            )
        device, dtype = self.weight.device, self.compute_dtype
        pair = {}
        for part, weight in (("A", down), ("B", up)):
            linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
            linear.weight = nn.Parameter(weight.to(device, dtype), requires_grad=False)
            pair[part] = linear
        self.detach_adapter(name)
        for part, linear in pair.items():
            self.add_module(f"{name}_{part}", linear)
        self.adapters = (*self.adapters, name)

    def detach_adapter(self, name: str) -> None:
        """Let go of an adapter; nothing happens when it is not there."""
        if name in self.adapters:
            self.adapters = tuple(n for n in self.adapters if n != name)
            delattr(self, f"{name}_A")
            delattr(self, f"{name}_B")

    @property
    def compute_dtype(self) -> torch.dtype:
        """The dtype that rows are in: of the picture path, since W itself may be quantised."""
        return self.Plora_A.weight.dtype if self.rank else self.weight.dtype

    def _pair(self, name: str) -> tuple[nn.Module, nn.Module]:
        if name not in self.adapters:
            raise Unsupported(
                name,
                f"is not loaded; loaded are {', '.join(self.adapters) or 'none'}.",
                "Load the model with the adapters of this task.",
            )
        return getattr(self, f"{name}_A"), getattr(self, f"{name}_B")


def merged(weight: Tensor, pairs: Mapping[str, tuple[Tensor, Tensor]], scale: float = 1.0) -> Tensor:
    """W + scale · Σ B A, summed in float32 in the order of the names, in the dtype of W."""
    total = weight.float()
    for name in sorted(pairs):
        down, up = pairs[name]
        total = total + scale * (up.float() @ down.float())
    return total.to(weight.dtype)
