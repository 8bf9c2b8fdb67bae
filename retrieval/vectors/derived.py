"""Derived indexes: words, text vectors and pixel vectors of a catalog's pictures, always able to be made anew.

The catalog is the truth. A picture's number stands for its words and pixels as they are, so bringing an index
up to date is comparing two sets of numbers: whatever was killed, lost or changed elsewhere in the meantime,
the next `refresh` mends it. A damaged index file is dropped and built again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from interleaf.errors import IndexUnusable, OutputUnwritable
from interleaf.schema import Picture, PictureFilter
from retrieval.vectors.index import VectorIndex
from retrieval.vectors.lexical import LexicalIndex
from retrieval.vectors.nearest import Numbers, Vectors

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["DerivedIndexes", "PictureEncoder", "TextEncoder", "TruthCatalog"]

_log = logging.getLogger(__name__)

ENCODED_AT_ONCE: Final = 512  # kept in the catalog after each so many: a killed run goes on from there
PIXELS_AT_ONCE: Final = 64


class TruthCatalog(Protocol):
    """What is asked of the catalog; retrieval.catalog.Catalog is one."""

    def change_counter(self) -> int: ...

    def numbers(self) -> Numbers: ...

    def number(self, picture_id: str) -> int: ...

    def allowed_numbers(self, where: PictureFilter) -> Numbers: ...

    def texts(self, numbers: Sequence[int] | Numbers | None = None) -> Iterable[tuple[int, str]]: ...

    def pictures_by_number(self, numbers: Sequence[int] | Numbers) -> Mapping[int, Picture]: ...

    def without_vectors(self, encoder: str, kind: str) -> Numbers: ...

    def vectors(self, encoder: str, kind: str) -> tuple[Numbers, Vectors]: ...

    def put_vectors(self, encoder: str, kind: str, numbers: Sequence[int] | Numbers, matrix: Vectors) -> None: ...


class TextEncoder(Protocol):
    """What is asked of a text encoder; retrieval.vectors.embedder.TextEmbedder is one."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(self, texts: Sequence[str], /) -> Vectors: ...


class PictureEncoder(TextEncoder, Protocol):
    """A text encoder that knows pictures too; retrieval.vectors.embedder.PixelEmbedder is one."""

    def encode_pictures(self, pictures: Sequence[Image], /) -> Vectors: ...


class DerivedIndexes:
    """The indexes of one library folder for one text encoder, and one picture encoder if there is one."""

    def __init__(
        self,
        catalog: TruthCatalog,
        folder: Path,
        encoder: TextEncoder,
        picture_encoder: PictureEncoder | None = None,
        open_picture: Callable[[Picture], Image] | None = None,
    ) -> None:
        self._catalog, self._folder = catalog, folder
        self._encoder, self._picture_encoder, self._open_picture = encoder, picture_encoder, open_picture
        self._counter = -1
        self.words = LexicalIndex.open(folder / "words.npz") or LexicalIndex()
        self.text = self._opened(encoder, "text")
        self.pixels = self._opened(picture_encoder, "pixels") if picture_encoder else None

    def refresh(self, on_progress: Callable[[int, int], None] | None = None) -> bool:
        """Encode what has no vectors yet, bring every index up to the catalog, write what changed.

        Returns whether anything changed. `on_progress(done, total)` counts encoded pictures."""
        counter = self._catalog.change_counter()
        if counter == self._counter:
            return False
        there = self._catalog.numbers()
        changed = self._refresh_words(there)
        self._encode_texts(on_progress)
        changed |= self._refresh_vectors(self.text, self._encoder, "text", there)
        if self.pixels is not None and self._picture_encoder is not None:
            self._encode_pictures(self._picture_encoder, on_progress)
            changed |= self._refresh_vectors(self.pixels, self._picture_encoder, "pixels", there)
        self._counter = counter
        return changed

    def _refresh_words(self, there: Numbers) -> bool:
        known = self.words.numbers()
        gone, new = np.setdiff1d(known, there), np.setdiff1d(there, known)
        if not len(gone) and not len(new):
            return False
        self.words.remove(gone)
        found = list(self._catalog.texts(new)) if len(new) else []
        self.words.add([number for number, _ in found], [text for _, text in found])
        try:
            self.words.save(self._folder / "words.npz")
        except OSError as error:
            _log.warning("the word index cannot be kept (%s): it is counted again at the next start", error)
        return True

    def _encode_texts(self, on_progress: Callable[[int, int], None] | None) -> None:
        missing = self._catalog.without_vectors(_key(self._encoder), "text")
        for start in range(0, len(missing), ENCODED_AT_ONCE):
            found = list(self._catalog.texts(missing[start : start + ENCODED_AT_ONCE]))
            if found:  # a blank text is kept as a zero row: it is known that there is nothing to encode
                rows = self._encoder.encode([text for _, text in found])
                self._catalog.put_vectors(_key(self._encoder), "text", [number for number, _ in found], rows)
            if on_progress:
                on_progress(min(start + ENCODED_AT_ONCE, len(missing)), len(missing))

    def _encode_pictures(self, encoder: PictureEncoder, on_progress: Callable[[int, int], None] | None) -> None:
        if self._open_picture is None:
            return
        missing = self._catalog.without_vectors(_key(encoder), "pixels")
        for start in range(0, len(missing), PIXELS_AT_ONCE):
            found = self._catalog.pictures_by_number(missing[start : start + PIXELS_AT_ONCE])
            if found:
                rows = encoder.encode_pictures([self._open_picture(picture) for picture in found.values()])
                self._catalog.put_vectors(_key(encoder), "pixels", list(found), rows)
            if on_progress:
                on_progress(min(start + PIXELS_AT_ONCE, len(missing)), len(missing))

    def _refresh_vectors(self, index: VectorIndex, encoder: TextEncoder, kind: str, there: Numbers) -> bool:
        known = index.numbers()
        gone, new = np.setdiff1d(known, there), np.setdiff1d(there, known)
        changed = index.remove(gone) > 0
        if len(new):
            numbers, rows = self._catalog.vectors(_key(encoder), kind)
            fresh = np.isin(numbers, new)
            if fresh.any():
                fresh &= np.einsum("nd,nd->n", rows, rows) > 0.5  # zero rows mean: nothing to encode
            if fresh.any():
                index.add(numbers[fresh], rows[fresh])
                changed = True
        changed |= index.tidy()
        if changed:
            try:
                index.save(self._path(encoder, kind))
            except OutputUnwritable as error:
                _log.warning("the index cannot be kept (%s): it is built again at the next start", error)
        return changed

    def _opened(self, encoder: TextEncoder, kind: str) -> VectorIndex:
        path = self._path(encoder, kind)
        if path.is_file():
            try:
                return VectorIndex.open(path, encoder.name, encoder.sha256)
            except IndexUnusable as error:
                _log.warning("%s Building it again.", error)
        return VectorIndex(encoder.dimension, encoder.name, encoder.sha256)

    def _path(self, encoder: TextEncoder, kind: str) -> Path:
        return self._folder / f"{kind}-{hashlib.sha256(_key(encoder).encode()).hexdigest()[:12]}.index"


def _key(encoder: TextEncoder) -> str:
    """The encoder as the catalog knows it: other weights under the same name are another encoder."""
    return f"{encoder.name}@{encoder.sha256[:16]}"
