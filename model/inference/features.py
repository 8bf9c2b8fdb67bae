"""Features: vectors of pictures, computed once and kept for later turns and sections, bounded in bytes.

A picture's key is the hash of its prepared pixels and layout, so that another crop or budget is another picture.
The picture longest unused leaves first. Letters: T vectors of a picture, H hidden size.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import torch
from torch import Tensor

__all__ = ["EncodablePicture", "FeatureCache"]

MAX_BYTES: Final = 1 << 30  # 150 pictures of one tile for a 7B in bfloat16


class EncodablePicture(Protocol):
    """A prepared picture: its `key`, `tiles` (1 + h · w, 3, P, P) with the overview first, and `grid` (h, w)."""

    @property
    def key(self) -> str: ...

    @property
    def tiles(self) -> Tensor: ...

    @property
    def grid(self) -> tuple[int, int]: ...


class FeatureCache:
    """Pictures in, vectors out; `encode` is only asked for pictures that are not kept. Threads may share it.

    `encode(tiles, grids)` gives one (T, H) tensor for each grid, as XComposerForConditionalGeneration does."""

    def __init__(
        self, encode: Callable[[Tensor, Sequence[tuple[int, int]]], Sequence[Tensor]], max_bytes: int = MAX_BYTES
    ) -> None:
        self._encode, self.max_bytes = encode, max_bytes
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes_kept = 0
        self.encoded = 0  # pictures that had to be computed
        self.reused = 0

    def __len__(self) -> int:
        return len(self._kept)

    @torch.no_grad()
    def features(self, pictures: Sequence[EncodablePicture]) -> list[Tensor]:
        """(T, H) of each picture, in their order; those that are new are encoded together, each once."""
        with self._lock:
            found: dict[str, Tensor] = {}
            new: dict[str, EncodablePicture] = {}
            for picture in pictures:
                if (kept := self._kept.get(picture.key)) is not None:
                    self._kept.move_to_end(picture.key)
                    found[picture.key] = kept
                else:
                    new.setdefault(picture.key, picture)
            if new:
                tiles = torch.cat([picture.tiles for picture in new.values()])
                vectors = self._encode(tiles, [picture.grid for picture in new.values()])
                for key, one in zip(new, vectors, strict=True):
                    # A copy of its own: a view would keep the vectors of all pictures of this call alive.
                    found[key] = self._keep(key, one.detach().clone())
            self.encoded += len(new)
            self.reused += len(pictures) - len(new)
            return [found[picture.key] for picture in pictures]

    def clear(self) -> None:
        """Forget everything, as other weights require."""
        with self._lock:
            self._kept.clear()
            self.bytes_kept = 0

    def _keep(self, key: str, vectors: Tensor) -> Tensor:
        size = vectors.numel() * vectors.element_size()
        if size <= self.max_bytes:
            self._kept[key] = vectors
            self.bytes_kept += size
            while self.bytes_kept > self.max_bytes:
                _, gone = self._kept.popitem(last=False)
                self.bytes_kept -= gone.numel() * gone.element_size()
        return vectors
