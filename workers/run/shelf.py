"""Shelf: the person's picture library with its encoders; the part of the wiring that needs no workflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.library import IngestReport, PictureLibrary
from retrieval.vectors.embedder import PixelEmbedder, TextEmbedder
from workers.settings import Settings

if TYPE_CHECKING:
    from retrieval.vectors.derived import TextEncoder

__all__ = ["IngestReport", "PictureLibrary", "make_embedder", "make_pixel_embedder", "open_library"]


def make_embedder(settings: Settings) -> TextEmbedder:
    """The text encoder that the settings name; its weights are loaded at the first `encode`."""
    return TextEmbedder(
        settings.encoder,
        allow_downloads=settings.downloads,
        threads=settings.threads or None,
        stamp_dir=settings.home / "cache",
    )


def make_pixel_embedder(settings: Settings) -> PixelEmbedder | None:
    """The picture encoder that the settings name; None when they name none."""
    if not settings.pixel_encoder:
        return None
    return PixelEmbedder(settings.pixel_encoder, allow_downloads=settings.downloads)


def open_library(
    settings: Settings, root: Path | None = None, embedder: TextEncoder | None = None, *, create: bool = True
) -> PictureLibrary:
    """The person's picture library, ready to search. RetrievalError when it is not there and `create` is false."""
    pixels = make_pixel_embedder(settings)
    return PictureLibrary.open(root or settings.library_dir, embedder or make_embedder(settings), pixels, create)
