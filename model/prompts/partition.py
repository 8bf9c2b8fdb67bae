"""Partition: into how many square tiles a picture is cut, as arithmetic on sizes alone.

A picture is thought of as landscape (a portrait one is mirrored on its diagonal first), enlarged or reduced so that
its width is a whole number of tiles, and filled up with white to whole rows of tiles. Letters: h × w tiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from interleaf.errors import PictureUnreadable

__all__ = ["PARTITIONS", "Layout", "Partition", "SizeRule", "Square", "Strip", "default_partition"]


@dataclass(frozen=True)
class Layout:
    """Where the pixels of a picture go. Sizes are (width, height) in px, in the picture's own orientation.

    `source_px`: as it comes; `resized_px`: as it is seen; `padded_px`: with the white around it; `offset_px`: (left,
    top) of the picture within; `rows` × `columns` tiles of `unit_px`, (0, 0) when the whole picture is one square
    without an overview; `mirrored`: whether the arithmetic saw the picture mirrored on its diagonal."""

    source_px: tuple[int, int]
    resized_px: tuple[int, int]
    padded_px: tuple[int, int]
    offset_px: tuple[int, int]
    rows: int
    columns: int
    unit_px: int
    mirrored: bool = False

    @property
    def tiles(self) -> int:
        """h · w, without the overview."""
        return self.rows * self.columns


class SizeRule(Protocol):
    """From a picture's size to its layout."""

    def layout(self, width_px: int, height_px: int, pictures: int = 1) -> Layout:
        """The layout of one of `pictures` pictures. PictureUnreadable for a size of nothing."""


@dataclass(frozen=True)
class Partition:
    """Tiles up to a budget.

    `budget`: most tiles of a picture; `shared`: it stands for all pictures of a prompt and is divided among them.
    `enlargement`: tile columns are at most ceil(enlargement · width / unit); None: always up to the budget.
    `padding`: white at the end of the shorter side, or half on each side (`centre`)."""

    budget: int
    enlargement: float | None = 1.0
    padding: Literal["end", "centre"] = "end"
    shared: bool = False
    unit_px: int = 560

    def tiles_of(self, pictures: int) -> int:
        """Most tiles of each of `pictures` pictures."""
        if not self.shared:
            return self.budget
        # Divided twice, as the published evaluation does it.
        once = max(1, self.budget // pictures)
        return max(4, once // pictures)

    def layout(self, width_px: int, height_px: int, pictures: int = 1) -> Layout:
        _refuse_nothing(width_px, height_px)
        mirrored = width_px < height_px
        long_px, short_px = (height_px, width_px) if mirrored else (width_px, height_px)
        # Division and rounding stay in the published order: sizes must agree to the pixel.
        ratio = long_px / short_px
        budget = max(1, self.tiles_of(pictures))
        columns = 1
        while (columns + 1) * math.ceil((columns + 1) / ratio) <= budget:
            columns += 1
        if self.enlargement is not None:
            columns = min(columns, math.ceil(long_px * self.enlargement / self.unit_px))
        new_long_px = columns * self.unit_px
        new_short_px = max(1, int(new_long_px / ratio))
        rows = math.ceil(new_short_px / self.unit_px)
        spare_px = rows * self.unit_px - new_short_px
        offset_px = spare_px // 2 if self.padding == "centre" else 0
        return _turned(
            (width_px, height_px),
            (new_long_px, new_short_px),
            (new_long_px, rows * self.unit_px),
            (0, offset_px),
            (rows, columns),
            self.unit_px,
            mirrored,
        )


@dataclass(frozen=True)
class Strip:
    """One row or column of tiles: for the frames of a video. The short side becomes one tile, the long side is
    filled up at its end."""

    unit_px: int = 560

    def layout(self, width_px: int, height_px: int, pictures: int = 1) -> Layout:
        _refuse_nothing(width_px, height_px)
        mirrored = width_px < height_px
        ratio = height_px / width_px if mirrored else width_px / height_px
        long_px = int(self.unit_px * ratio)
        columns = math.ceil(long_px / self.unit_px)
        padded_px = (columns * self.unit_px, self.unit_px)
        resized_px = (long_px, self.unit_px)
        return _turned((width_px, height_px), resized_px, padded_px, (0, 0), (1, columns), self.unit_px, mirrored)


@dataclass(frozen=True)
class Square:
    """The whole picture squeezed into one square, whatever its shape: the 2 and 2-VL families."""

    unit_px: int

    def layout(self, width_px: int, height_px: int, pictures: int = 1) -> Layout:
        _refuse_nothing(width_px, height_px)
        edge = (self.unit_px, self.unit_px)
        return Layout((width_px, height_px), edge, edge, (0, 0), 0, 0, self.unit_px)


# The official ways, by name. `chat` and `multi` are what the published chat does with one and with several pictures.
PARTITIONS: Final[dict[str, Partition]] = {
    "chat": Partition(24),
    "multi": Partition(6),
    "glance": Partition(1),
    "finetune": Partition(18, 1.5, "centre"),
    "chat-demo": Partition(4, None, "centre"),
    "eval": Partition(36, 1.5, "centre", shared=True),
    "4khd-glance": Partition(1, None, "centre", unit_px=336),
    "4khd-16": Partition(16, None, "centre", unit_px=336),
    "4khd-25": Partition(25, None, "centre", unit_px=336),
    "4khd-55": Partition(55, None, "centre", unit_px=336),
}


def default_partition(padding: str, pictures: int) -> str:
    """The name of the budget of a prompt with so many pictures; `padding` tells the families with tiles apart."""
    if padding == "centre":
        return "4khd-55" if pictures <= 1 else "4khd-16"
    return "chat" if pictures <= 1 else "multi"


def _refuse_nothing(width_px: int, height_px: int) -> None:
    if width_px < 1 or height_px < 1:
        raise PictureUnreadable(
            "picture", f"has {width_px} × {height_px} px: there is nothing to see.", "Leave it out."
        )


def _turned(
    source_px: tuple[int, int],
    resized_px: tuple[int, int],
    padded_px: tuple[int, int],
    offset_px: tuple[int, int],
    grid: tuple[int, int],
    unit_px: int,
    mirrored: bool,
) -> Layout:
    """The layout in the picture's own orientation, out of sizes (all but `source_px`) of it seen as landscape."""
    if not mirrored:
        return Layout(source_px, resized_px, padded_px, offset_px, *grid, unit_px)
    return Layout(source_px, resized_px[::-1], padded_px[::-1], offset_px[::-1], *grid[::-1], unit_px, mirrored=True)
