"""Look: a picture's colours and their rough layout in 120 numbers, to see that pictures are of one series.

Not a meaning: two photographs of one kitchen are near, a photograph and a drawing of the same bridge are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from interleaf.errors import PictureUnreadable

__all__ = ["COLOUR_BINS", "LAYOUT_VALUES", "look_of", "look_of_file"]

# Hue, saturation, value; square roots of shares, so that a dot product is the Bhattacharyya coefficient.
BINS_PER_AXIS: Final = (8, 3, 3)
COLOUR_BINS: Final = 72
LAYOUT_SIDE: Final = 4
LAYOUT_VALUES: Final = LAYOUT_SIDE * LAYOUT_SIDE * 3
THUMBNAIL_PX: Final = 32
# A JPEG is decoded at an eighth, a quarter or half of its size where that is still this large: many times faster.
DRAFT_PX: Final = 256


def look_of(image: Image.Image) -> tuple[float, ...]:
    """`COLOUR_BINS` roots of colour shares (unit length), then `LAYOUT_VALUES` mean colours in 0..1, row by row."""
    small = image.convert("RGB").resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    hsv = np.asarray(small.convert("HSV"), dtype=np.float64).reshape(-1, 3) / 256.0
    index = np.zeros(len(hsv), dtype=np.int64)
    for axis, bins in enumerate(BINS_PER_AXIS):
        index = index * bins + np.minimum((hsv[:, axis] * bins).astype(np.int64), bins - 1)
    shares = np.bincount(index, minlength=COLOUR_BINS) / len(hsv)
    layout = small.resize((LAYOUT_SIDE, LAYOUT_SIDE), Image.Resampling.BOX)
    means = np.asarray(layout, dtype=np.float64).ravel() / 255.0
    return tuple(round(float(v), 4) for v in (*np.sqrt(shares), *means))


def look_of_file(path: Path) -> tuple[float, ...]:
    """The look of a pixel file of the library. PictureUnreadable when it cannot be decoded."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (DRAFT_PX, DRAFT_PX))
            return look_of(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise PictureUnreadable(
            path.name, f"cannot be decoded ({error}).", "Run: interleaf library verify --repair"
        ) from error
