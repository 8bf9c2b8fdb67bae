"""Likeness: which pictures look like a given one, by their tiny versions: colours and layout, no meaning."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

from interleaf.schema import PictureFilter, PictureHit
from retrieval.catalog import Catalog
from retrieval.pictures.duplicates import look_of

__all__ = ["nearest_looks"]

# Mean difference (0..255) at which two pictures have nothing in common; unrelated photographs differ by 60 to 80.
UNLIKE: Final = 96.0
SCORE_DECIMALS: Final = 4


def nearest_looks(catalog: Catalog, image: Image.Image, k: int, where: PictureFilter) -> list[PictureHit]:
    """At most k pictures that the filter lets through, most alike first; scores in 0..1, those of 0 left out."""
    numbers, looks = catalog.looks(where)
    if not len(numbers) or k <= 0:
        return []
    mine = np.frombuffer(look_of(image).tiny, dtype=np.uint8).astype(np.int16)
    differences = np.array([float(np.abs(look.astype(np.int16) - mine).mean()) for look in looks])
    scores = np.round(np.maximum(0.0, 1.0 - differences / UNLIKE), SCORE_DECIMALS)
    best = [int(i) for i in np.lexsort((numbers, -scores))[:k] if scores[i] > 0]
    shown = catalog.pictures_by_number([int(numbers[i]) for i in best])
    return [
        PictureHit(picture=shown[int(numbers[i])], score=float(scores[i])) for i in best if int(numbers[i]) in shown
    ]
