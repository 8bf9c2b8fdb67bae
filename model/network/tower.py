"""Tower: tiles of a picture to the vectors that stand for it in the text.

A CLIP vision transformer sees each tile and an overview; in the tiled families four neighbouring patches become one
vector, a learned separator ends each row and another parts overview and tiles; the projector brings all of it to the
decoder's width. Letters: S tiles, P their edge in px, g patches along an edge, m = g / merge, C the tower's width,
h × w tiles of a picture, T its vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from transformers import CLIPVisionModel

from interleaf.errors import PromptInvalid
from model.network.config import XComposerConfig

__all__ = ["VisionTower", "arranged", "merged_patches", "vector_count"]

_TILES_AT_ONCE: Final = 16


class VisionTower(nn.Module):
    """transformers' CLIP tower under the published names: the last layer's patches, before any last norm."""

    def __init__(self, config: XComposerConfig) -> None:
        super().__init__()
        self.vision_tower = nn.Module()
        self.vision_tower.vision_model = CLIPVisionModel._from_config(config.vision_config)
        self.merge = config.merge

    @property
    def clip(self) -> CLIPVisionModel:
        """The transformer itself; two rooms deep for the sake of the published names."""
        return self.vision_tower.vision_model  # type: ignore[return-value]

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(S, 3, P, P) normalised pixels → (S, m, m, merge² · C)."""
        parts = []
        for tiles in pixel_values.split(_TILES_AT_ONCE):
            seen = self.clip(pixel_values=tiles).last_hidden_state[:, 1:]  # without the class row
            parts.append(merged_patches(seen, self.merge))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def merged_patches(patches: Tensor, merge: int) -> Tensor:
    """(S, g², C) patches → (S, m, m, merge² · C), channels of a square row by row."""
    count, squared, width = patches.shape
    edge = round(squared**0.5)
    grid = patches.view(count, edge // merge, merge, edge // merge, merge, width).transpose(2, 3)
    return grid.reshape(count, edge // merge, edge // merge, merge * merge * width)


def vector_count(rows: int, columns: int, edge: int) -> int:
    """T of a picture of `rows` × `columns` tiles with m = `edge`: (h w + 1) m² + 1 + (h + 1) m."""
    return (rows * columns + 1) * edge**2 + 1 + (rows + 1) * edge


def arranged(
    tiles: Tensor, grids: Sequence[tuple[int, int]], end_of_row: Tensor | None, end_of_overview: Tensor | None
) -> list[Tensor]:
    """One (T, W) sequence for each picture out of (S, m, m, W) tiles in their order.

    `grids`: tile rows and columns of each picture, whose overview comes first among its tiles; (0, 0): one square
    picture without overview or separators. PromptInvalid when tiles and grids do not fit."""
    expected = sum(rows * columns + 1 for rows, columns in grids)
    if len(tiles) != expected:
        raise PromptInvalid(
            "image_grids", f"ask for {expected} tiles, pixel_values has {len(tiles)}.", "Give what the processor made."
        )
    found, start = [], 0
    for rows, columns in grids:
        overview, start = tiles[start], start + 1
        if not rows or end_of_row is None or end_of_overview is None:
            found.append(overview.flatten(0, 1))
            continue
        edge, width = overview.shape[1], overview.shape[2]
        whole = tiles[start : start + rows * columns].view(rows, columns, edge, edge, width)
        whole = whole.transpose(1, 2).reshape(rows * edge, columns * edge, width)
        start += rows * columns
        parts = [
            _with_row_ends(overview, end_of_row),
            end_of_overview.view(1, width),
            _with_row_ends(whole, end_of_row),
        ]
        found.append(torch.cat(parts))
    return found


def _with_row_ends(grid: Tensor, end_of_row: Tensor) -> Tensor:
    """(rows, columns, W) → (rows · (columns + 1), W)."""
    ends = end_of_row.view(1, 1, -1).expand(grid.shape[0], 1, -1)
    return torch.cat((grid, ends.to(grid.dtype)), dim=1).flatten(0, 1)
