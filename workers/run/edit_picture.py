"""Edit picture: the picture that an edit names, wherever it lies: in the piece, in its run, in a library of its owner;
or one that was sent, which is taken in like any other: decoded safely, turned upright, without its position."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from interleaf.errors import LibraryBusy, PictureMissing, PictureUnreadable
from interleaf.schema import Article, Picture
from retrieval.library import PictureLibrary
from workers.run.intake import GIVEN_COLLECTION, Material
from workers.run.run_folder import RunFolder

__all__ = ["named_picture", "taken_picture"]

NOWHERE: Final = "is neither in the piece nor in its run nor in a library of yours."


def named_picture(
    picture_id: str,
    article: Article,
    folder: RunFolder | None,
    material: Material | None,
    library_dir: Path,
    collections: Collection[str] | None = None,
) -> Picture:
    """The picture with that id, with what the piece says of it. `folder` and `material` are of the run that made it;
    `collections`: those of the library that count, or None for all. PictureMissing."""
    known = {candidate.picture.id: candidate.picture for candidate in (material.candidates if material else ())}
    known |= {picture.id: picture for picture in article.pictures}
    if picture_id in known:
        return known[picture_id]
    if folder is not None and (found := _in(folder.library_dir, picture_id, None)) is not None:
        return found
    found = _in(library_dir, picture_id, collections)
    if found is None:
        raise PictureMissing(picture_id, NOWHERE, "Name an alternative, or one that a search found.")
    return found


def taken_picture(path: Path, name: str, folder: RunFolder, wait: Callable[[], None]) -> Picture:
    """A picture file as a picture of the run, under the name that its sender gave it. `wait` is called while another
    process adds to the run, and may raise. PictureUnreadable; OutputUnwritable."""
    while True:
        try:
            with PictureLibrary.open(folder.library_dir) as library:
                report = library.add([path], GIVEN_COLLECTION, dedupe="exact", names={path: name})
                taken = list(report.picture_ids.values())
                if len(taken) == 1:
                    return library.picture(taken[0])
                if report.refused:
                    raise PictureUnreadable(report.refused[0].name, report.refused[0].reason, "Send another picture.")
                raise PictureUnreadable(name, f"it holds {len(taken)} pictures.", "Send one picture.")
        except LibraryBusy:
            wait()


def _in(root: Path, picture_id: str, collections: Collection[str] | None) -> Picture | None:
    if not root.is_dir():
        return None
    with PictureLibrary.open(root, create=False) as library:
        try:
            found = library.picture(picture_id)
        except PictureMissing:
            return None
        if collections is not None and not set(library.collections_of(picture_id)) & set(collections):
            return None
        return found
