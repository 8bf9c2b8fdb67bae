"""Open libraries: the library folders of keys, kept open between one use and the next; the encoders are shared."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from retrieval.library import PictureLibrary
from retrieval.vectors.embedder import TextEmbedder
from workers.run.shelf import make_embedder, make_pixel_embedder
from workers.settings import Settings

__all__ = ["OpenLibraries"]

MOST_OPEN = 16


@dataclass
class _Kept:
    library: PictureLibrary
    users: int = 0


class OpenLibraries:
    """One folder for each key. A library brings its indexes up to its catalog by itself at each search, so what other
    processes change there is seen. Threads may share it.

    The longest unused are closed when more than `most` are open.
    """

    def __init__(self, settings: Settings, most: int = MOST_OPEN) -> None:
        self._settings = settings
        self._most = most
        # Weights are loaded at the first use, once for all libraries.
        self._embedder = make_embedder(settings)
        self._pixel_embedder = make_pixel_embedder(settings)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def encoder(self) -> str:
        """Which weights encode the words."""
        return f"{self._embedder.name}@{self._embedder.sha256[:16]}"

    @property
    def embedder(self) -> TextEmbedder:
        """The encoder of words, which all that needs one here shares."""
        return self._embedder

    def warm(self) -> None:
        """Load the encoder of words. ModelError."""
        self._embedder.encode(["a picture"])

    @contextmanager
    def borrowed(self, owner: str) -> Iterator[PictureLibrary]:
        """The library folder of the key with that id, made if there is none. RetrievalError; OutputUnwritable."""
        with self._lock:
            kept = self._kept.get(owner)
            if kept is None:
                root = self._settings.libraries_dir / owner
                kept = _Kept(PictureLibrary.open(root, self._embedder, self._pixel_embedder))
                self._kept[owner] = kept
            self._kept.move_to_end(owner)
            kept.users += 1
        try:
            yield kept.library
        finally:
            with self._lock:
                kept.users -= 1
                self._close_unused(self._most)

    def close(self) -> None:
        """Close those that nobody uses."""
        with self._lock:
            self._close_unused(0)

    def _close_unused(self, most: int) -> None:
        for owner in [owner for owner, kept in self._kept.items() if not kept.users]:
            if len(self._kept) <= most:
                return
            self._kept.pop(owner).library.close()
