"""Image processor: how one model's pictures are cut, prepared and counted, as a class of transformers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import torch
from transformers import BatchFeature
from transformers.image_processing_base import ImageProcessingMixin

from interleaf.errors import PictureUnreadable, Unsupported
from model.network.config import XComposerConfig
from model.network.tower import vector_count
from model.prompts.partition import PARTITIONS, Layout, Partition, SizeRule, Square, Strip, default_partition
from model.prompts.picture import PictureSource, PreparedPicture, size_px, tiles_of, upright_rgb
from model.prompts.video import VideoComposite

__all__ = ["XComposerImageProcessor"]


class XComposerImageProcessor(ImageProcessingMixin):
    """Picture preparation of one family.

    `tile_px`: edge of its tiles, None when it squeezes pictures into one square of `square_px`; `patch_px` and
    `merge` give the vectors along an edge; `padding`: `end` or `centre`, which tells 2.5 and 4KHD apart."""

    model_input_names = ["pixel_values", "image_grids"]  # noqa: RUF012 (transformers reads a list)

    def __init__(
        self, tile_px: int | None, square_px: int, patch_px: int, merge: int, padding: str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.tile_px, self.square_px = tile_px, square_px
        self.patch_px, self.merge, self.padding = patch_px, merge, padding

    @classmethod
    def from_config(cls, config: XComposerConfig) -> Self:
        """That of a network."""
        vision = config.vision_config
        return cls(config.tile_px, vision.image_size, vision.patch_size, config.merge, config.padding_side)

    def __call__(
        self, images: PictureSource | list[PictureSource], *, partition: str | Partition | None = None, **kwargs: Any
    ) -> BatchFeature:
        """`pixel_values` (S, 3, P, P) and `image_grids` (n, 2) of pictures of one prompt. Words come with them in
        XComposerProcessor."""
        sources = images if isinstance(images, list | tuple) else [images]
        if not sources:
            raise PictureUnreadable("images", "are none.", "Give at least one picture.")
        prepared = [self.prepare(s, self.layout(s, len(sources), partition)) for s in sources]
        grids = torch.tensor([p.grid for p in prepared], dtype=torch.int64)
        return BatchFeature({"pixel_values": torch.cat([p.tiles for p in prepared]), "image_grids": grids})

    def layout(
        self,
        source: PictureSource | VideoComposite,
        pictures: int = 1,
        partition: str | Partition | None = None,
        name: str = "picture",
    ) -> Layout:
        """How a picture will be cut as one of `pictures` in its prompt; only its head is read."""
        if isinstance(source, VideoComposite):
            if self.tile_px is None:
                raise Unsupported(name, "is a video, and this family squeezes all into one square.", "Use 2.5 or 4KHD.")
            return Strip(self.tile_px).layout(*source.image.size)
        return self.rule(pictures, partition).layout(*size_px(source, name), pictures)

    def prepare(self, source: PictureSource | VideoComposite, layout: Layout, name: str = "picture") -> PreparedPicture:
        """The tiles of a picture. PictureUnreadable when it is broken or not of the size that its head says."""
        if isinstance(source, VideoComposite):
            return tiles_of(source.image, layout, name)
        return tiles_of(upright_rgb(source, name), layout, name)

    def rule(self, pictures: int = 1, partition: str | Partition | None = None) -> SizeRule:
        """The partition that is asked for, or the published one for so many pictures, with this family's tiles."""
        if self.tile_px is None:
            if partition is not None:
                raise Unsupported("partition", "is for families with tiles.", "Leave it out with this model.")
            return Square(self.square_px)
        if partition is None:
            partition = default_partition(self.padding, pictures)
        if isinstance(partition, str):
            if partition not in PARTITIONS:
                raise Unsupported(
                    "partition", f"{partition!r} is not known.", f"Choose one of {', '.join(PARTITIONS)}."
                )
            partition = PARTITIONS[partition]
        return replace(partition, unit_px=self.tile_px)

    def vectors(self, layout: Layout) -> int:
        """How many vectors, and placeholders, a picture has."""
        edge = layout.unit_px // self.patch_px // self.merge
        return vector_count(layout.rows, layout.columns, edge) if layout.rows else edge**2
