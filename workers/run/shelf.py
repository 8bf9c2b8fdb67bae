"""Shelf: the person's picture library with its encoders; the part of the wiring that needs no workflow.

An encoder is opened once in a process and kept for the runs that follow: loading takes longer than most runs need it
for, and what a run left behind would only be collected many runs later.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.library import IngestReport, PictureLibrary
from retrieval.vectors.embedder import PixelEmbedder, TextEmbedder
from workers.settings import Settings

if TYPE_CHECKING:
    from retrieval.vectors.derived import TextEncoder

__all__ = ["IngestReport", "PictureLibrary", "make_embedder", "make_pixel_embedder", "open_library"]


def make_embedder(settings: Settings) -> TextEmbedder:
    """The text encoder that the settings name, the same for all who ask in this process; its weights are loaded at the
    first `encode`. What it remembers of texts is bounded, and a vector does not depend on who asked before."""
    return _text_encoder(settings.encoder, settings.downloads, settings.threads or None, settings.home / "cache")


def make_pixel_embedder(settings: Settings) -> PixelEmbedder | None:
    """The picture encoder that the settings name, the same for all who ask; None when they name none."""
    return _picture_encoder(settings.pixel_encoder, settings.downloads) if settings.pixel_encoder else None


def open_library(
    settings: Settings, root: Path | None = None, embedder: TextEncoder | None = None, *, create: bool = True
) -> PictureLibrary:
    """The person's picture library, ready to search. RetrievalError when it is not there and `create` is false."""
    pixels = make_pixel_embedder(settings)
    return PictureLibrary.open(root or settings.library_dir, embedder or make_embedder(settings), pixels, create)


# One of each: a process has one set of settings, and who changes them in a program of their own lets go of the one
# before.
@lru_cache(maxsize=1)
def _text_encoder(name: str, downloads: bool, threads: int | None, stamp_dir: Path) -> TextEmbedder:
    return TextEmbedder(name, allow_downloads=downloads, threads=threads, stamp_dir=stamp_dir)


@lru_cache(maxsize=1)
def _picture_encoder(name: str, downloads: bool) -> PixelEmbedder:
    return PixelEmbedder(name, allow_downloads=downloads)
