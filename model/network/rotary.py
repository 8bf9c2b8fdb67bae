"""Rotary positions with dynamic NTK: beyond the trained length the base grows with the planned total length.

The base comes from the length that a request plans (prompt and answer together), once for the whole request: keys
in the cache and later queries turn by the same angles, and no earlier request has a say. Letters: B batch, N
positions, D width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["inverse_frequencies", "rotary_base", "rotary_table", "rotated"]


def rotary_base(theta: float, factor: float | None, dimension: int, trained_length: int, planned_length: int) -> float:
    """Base for requests of `planned_length` tokens: theta up to `trained_length` or without a factor, then stretched
    to theta · (factor · L / trained − (factor − 1)) ^ (D / (D − 2))."""
    if factor is None or planned_length <= trained_length:
        return theta
    stretch = factor * planned_length / trained_length - (factor - 1)
    return float(theta * stretch ** (dimension / (dimension - 2)))


def inverse_frequencies(base: float, dimension: int, device: torch.device | str | None = None) -> Tensor:
    """(D / 2,) float32: base ^ (−2 i / D)."""
    exponents = torch.arange(0, dimension, 2, dtype=torch.float32, device=device) / dimension
    return 1.0 / base**exponents


def rotary_table(positions: Tensor, frequencies: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin, (B, 1, N, D) in `dtype`, computed in float32, for (B, N) positions; frequencies (D / 2,), or
    (B, 1, 1, D / 2) where sequences differ."""
    angles = positions[:, None, :, None].float() * frequencies  # (B, 1, N, D / 2)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """(B, H, N, D) heads turned by their positions; the halves of a head are its pairs."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
