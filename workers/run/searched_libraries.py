"""Searched libraries: what one run sees of a picture library: the collections that its brief names, as people call
them. Nothing else of the library, and no id of ours, goes into a piece: another library beside it changes no byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from interleaf.schema import Picture, PictureFilter, PictureHit, PictureQuery
from retrieval.library import PictureLibrary

__all__ = ["SearchedLibraries"]


class SearchedLibraries:
    """Satisfies agents.context.PictureFinder. `library` is the caller's to close."""

    def __init__(self, library: PictureLibrary, collections: Sequence[str], called: Mapping[str, str]) -> None:
        """`collections`: one or more. `called`: what people call a collection, where that is not its name there."""
        self._library = library
        self._called = {collection: called.get(collection, collection) for collection in collections}

    def search(self, queries: Sequence[PictureQuery], k: int, where: PictureFilter) -> list[list[PictureHit]]:
        return self._library.search(queries, k, where)

    def picture(self, picture_id: str) -> Picture:
        """As a picture of the first of the brief's collections that holds it, whichever it joined first; of the first
        of all where it was taken out meanwhile. PictureMissing when it is nowhere in the library any more."""
        picture = self._library.picture(picture_id)
        holding = self._library.collections_of(picture_id)
        searched = [called for collection, called in self._called.items() if collection in holding]
        return picture.model_copy(update={"collection": (searched or list(self._called.values()))[0]})

    def pixels_path(self, picture_id: str) -> Path:
        return self._library.pixels_path(picture_id)

    def fingerprints(self) -> dict[str, str]:
        found = self._library.fingerprints()
        return {called: found[collection] for collection, called in self._called.items() if collection in found}
