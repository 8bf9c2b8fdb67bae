"""Embedding: which renditions of each picture travel inside a page, so that all of them fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interleaf.errors import RequestRefused
from templates.picture_file import PictureFiles, Rendition, open_picture
from templates.view import FigureView

__all__ = ["EmbeddedImage", "embed"]

# Widths that a page offers for each picture, tried in turn until all pictures fit. Everything travels in the
# one file, so the smaller renditions save a phone's memory, never bytes: they are the first to go.
LADDER_PX = ((480, 960, 1600), (1600,), (960,), (640,))
PREFERRED_BYTES = 8 * 2**20
MAX_BYTES = 32 * 2**20
# A picture at least this wide, and lying, may stand out over both sides of the text.
WIDE_PX = 900
WIDE_RATIO = 1.3


@dataclass(frozen=True)
class EmbeddedImage:
    """The `<img>` of one figure: renditions by rising width; `shape` is `wide`, `tall` or `plain`."""

    renditions: tuple[Rendition, ...]
    shape: str

    @property
    def largest(self) -> Rendition:
        return self.renditions[-1]

    @property
    def srcset(self) -> str:
        """Empty when there is only one rendition."""
        if len(self.renditions) == 1:
            return ""
        return ", ".join(f"{r.data_uri} {r.width_px}w" for r in self.renditions)


def embed(figures: Sequence[FigureView], pictures: PictureFiles) -> dict[str, EmbeddedImage]:
    """Figure id → its image. Errors as `open_picture`; RequestRefused when they do not fit at any width."""
    made: dict[tuple[str, int], Rendition] = {}
    own_width_px: dict[str, int] = {}
    for rung, widths_px in enumerate(LADDER_PX):
        limit_bytes = PREFERRED_BYTES if rung == 0 else MAX_BYTES
        images: dict[str, EmbeddedImage] = {}
        total_bytes = 0
        for figure in figures:
            renditions = _renditions(figure, pictures, widths_px, made, own_width_px)
            images[figure.id] = EmbeddedImage(renditions, _shape(renditions[-1]))
            total_bytes += sum(len(r.data) * 4 // 3 for r in renditions)
            if total_bytes > limit_bytes:
                break
        else:
            return images
    raise RequestRefused(
        "page",
        f"its {len(figures)} pictures exceed {MAX_BYTES // 2**20} MiB even at {LADDER_PX[-1][0]} px width.",
        "Ask for fewer pictures (pictures_wanted), or for the Markdown bundle (format md).",
    )


def _renditions(
    figure: FigureView,
    pictures: PictureFiles,
    widths_px: tuple[int, ...],
    made: dict[tuple[str, int], Rendition],
    own_width_px: dict[str, int],
) -> tuple[Rendition, ...]:
    """From `made`, or encoded now; one decoded picture at a time is held in memory."""
    picture_id = figure.picture.id
    if picture_id in own_width_px:
        wanted = _fillable(own_width_px[picture_id], widths_px)
        if all((picture_id, w) in made for w in wanted):
            return tuple(made[picture_id, w] for w in wanted)
    file = open_picture(pictures.path(picture_id), figure.picture.name or picture_id[:12])
    own_width_px[picture_id] = file.width_px
    wanted = _fillable(file.width_px, widths_px)
    for width_px in wanted:
        if (picture_id, width_px) not in made:
            made[picture_id, width_px] = file.for_page(width_px)
    return tuple(made[picture_id, w] for w in wanted)


def _fillable(own_px: int, wanted_px: tuple[int, ...]) -> tuple[int, ...]:
    """The wanted widths that a picture can fill, rising; its own width last when it cannot fill the largest."""
    largest = min(own_px, max(wanted_px))
    return (*sorted(w for w in wanted_px if w < largest), largest)


def _shape(largest: Rendition) -> str:
    if largest.width_px >= WIDE_PX and largest.width_px >= WIDE_RATIO * largest.height_px:
        return "wide"
    return "tall" if largest.height_px > largest.width_px else "plain"
