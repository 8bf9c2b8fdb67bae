"""Duplicates: whether two pictures show the same thing, though their pixels differ.

Three sieves, each dearer and finer than the one before: a 64-bit DCT hash finds candidates, a tiny
version of the picture drops most of them, and a close comparison decides. The close comparison lays
the two over one another (one may be cropped a little) and asks for local changes: a picture that
was resized or compressed again differs a little everywhere, two steps of a screenshot differ much in
one place. Measured rates: docs/decisions/near-duplicates.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["HASH_RADIUS_BITS", "Look", "NearDuplicates", "comparable", "look_of", "same_picture"]

HASH_RADIUS_BITS: Final = 12
LOOK_SIDE_PX: Final = 16
LOOK_DISTANCE: Final = 24.0  # mean absolute difference of two looks, 0..255

_HASHED_SIDE_PX: Final = 256
_COMPARED_SIDE_PX: Final = 512
_ALIGN_SIDE_PX: Final = 128
_COARSE_SIDE_PX: Final = 48
_FINE_SIDE_PX: Final = 192
_BLOCKS: Final = 24
_MAX_CROP: Final = 0.08  # of a side
_STEPS: Final = (0.04, 0.02, 0.01, 0.005)
_MOVES: Final = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 1, 1, 1), (1, 0, 1, 0), (0, 1, 0, 1))
# Of the close comparison, all on the scale 0..255: differences everywhere, and in the worst place.
_MEAN_LIMIT: Final = 5.0
_PLACE_LIMIT: Final = 13.0
_PLACE_FLOOR: Final = 6.0
_PLACE_PER_MEAN: Final = 6.0

Pixels = NDArray[np.float32]
Crop = tuple[float, float, float, float]


@dataclass(frozen=True)
class Look:
    """How a picture looks: the 64-bit hash in hex, and 16 × 16 RGB pixels as bytes."""

    perceptual_hash: str
    tiny: bytes


def look_of(image: Image.Image) -> Look:
    """The look of a picture in mode L, LA, RGB or RGBA; transparency over white."""
    import imagehash  # with scipy and its wavelets: a third of a second that listing pictures need not pay

    small = _on_white(image).resize((_HASHED_SIDE_PX, _HASHED_SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=3.0)
    tiny = small.resize((LOOK_SIDE_PX, LOOK_SIDE_PX), Image.Resampling.BOX)
    return Look(str(imagehash.phash(small)), tiny.tobytes())


def comparable(image: Image.Image) -> Image.Image:
    """The picture as `same_picture` wants it: RGB over white, at most 512 px a side. All that needs keeping."""
    shrink = max(1.0, max(image.size) / _COMPARED_SIDE_PX)
    size = (max(1, round(image.width / shrink)), max(1, round(image.height / shrink)))
    return _on_white(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)


def same_picture(first: Image.Image, second: Image.Image) -> bool:
    """The close comparison of two `comparable` pictures: whether one is the other resized, compressed again or
    cropped a little."""
    crop = _alignment(first, second)
    # Not finer than the smaller of the two shows: a picture made larger is blurred, not different.
    side = max(_BLOCKS * 2, min(_FINE_SIDE_PX, *first.size, *second.size) // _BLOCKS * _BLOCKS)
    pixels, others = _cropped(first, crop, side), _cropped(second, tuple(-c for c in crop), side)
    mean = float(np.abs(pixels - others).mean())
    per = side // _BLOCKS
    places = (pixels - others).reshape(_BLOCKS, per, _BLOCKS, per, 3).mean(axis=(1, 3))  # (24, 24, 3)
    worst = float(np.abs(places).max())
    return mean <= _MEAN_LIMIT and worst <= min(_PLACE_LIMIT, _PLACE_FLOOR + _PLACE_PER_MEAN * mean)


class NearDuplicates:
    """The pictures of one collection by their hashes; a look-up among a million takes milliseconds."""

    def __init__(self, ids: Sequence[str], hashes: NDArray[np.uint64]) -> None:
        """`hashes` is (N,) in the order of `ids`."""
        self._ids = list(ids)
        self._hashes = np.zeros(max(1024, 2 * len(ids)), dtype=np.uint64)
        self._hashes[: len(ids)] = hashes

    def add(self, picture_id: str, look: Look) -> None:
        """Remember one more picture."""
        if len(self._ids) == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._hashes[len(self._ids)] = int(look.perceptual_hash, 16)
        self._ids.append(picture_id)

    def find(
        self,
        image: Image.Image,
        look: Look,
        tiny_of: Callable[[str], bytes],
        image_of: Callable[[str], Image.Image],
    ) -> str | None:
        """The id of the nearest picture that shows the same as the `comparable` image, or None.

        `tiny_of` gives the `Look.tiny` of a remembered picture, `image_of` its `comparable` pixels; both are
        asked for few pictures only.
        """
        known = self._hashes[: len(self._ids)]
        distance = np.bitwise_count(known ^ np.uint64(int(look.perceptual_hash, 16)))
        near = np.flatnonzero(distance <= HASH_RADIUS_BITS)
        mine = np.frombuffer(look.tiny, np.uint8).astype(np.int16)
        for index in near[np.argsort(distance[near], kind="stable")]:
            picture_id = self._ids[int(index)]
            theirs = np.frombuffer(tiny_of(picture_id), np.uint8).astype(np.int16)
            if np.abs(mine - theirs).mean() <= LOOK_DISTANCE and same_picture(image, image_of(picture_id)):
                return picture_id
        return None


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("LA", "RGBA"):
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # never changed in place


def _alignment(first: Image.Image, second: Image.Image) -> Crop:
    """(left, top, right, bottom) as shares of the sides: how much to cut from `first` where positive, from
    `second` where negative, so that the two lie over one another best. Coordinate descent, coarse to fine."""
    greys = [
        image.convert("L").resize((_ALIGN_SIDE_PX, _ALIGN_SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=3.0)
        for image in (first, second)
    ]

    def misfit(crop: Crop) -> float:
        a = _normal(_cropped(greys[0], crop, _COARSE_SIDE_PX))
        b = _normal(_cropped(greys[1], tuple(-c for c in crop), _COARSE_SIDE_PX))
        return float(np.abs(a - b).mean())

    best: Crop = (0.0, 0.0, 0.0, 0.0)
    least = misfit(best)
    for step in _STEPS:
        for _ in range(4):
            before = least
            for move in _MOVES:
                for sign in (1, -1):
                    moved = [
                        max(-_MAX_CROP, min(_MAX_CROP, c + sign * step * m)) for c, m in zip(best, move, strict=True)
                    ]
                    crop = (moved[0], moved[1], moved[2], moved[3])
                    cost = misfit(crop)
                    if cost < least - 1e-6:
                        best, least = crop, cost
            if least == before:
                break
    return best


def _cropped(image: Image.Image, crop: Sequence[float], side: int) -> Pixels:
    """(side, side[, 3]) pixels of the image without the positive shares of `crop`."""
    left, top, right, bottom = (max(0.0, c) for c in crop)
    box = (left * image.width, top * image.height, (1 - right) * image.width, (1 - bottom) * image.height)
    resized = image.resize((side, side), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
    return np.asarray(resized, dtype=np.float32)


def _normal(pixels: Pixels) -> Pixels:
    normal: Pixels = (pixels - pixels.mean()) * (50.0 / (pixels.std() + 4.0))
    return normal
