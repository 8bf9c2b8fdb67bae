"""Picture shelf: where the files of a run's pictures lie. Needs no part of the workflow, and no encoder."""

from __future__ import annotations

from pathlib import Path

from interleaf.errors import PictureMissing
from retrieval.library import PictureLibrary
from workers.run.run_folder import RunFolder

__all__ = ["PictureShelf"]


class PictureShelf:
    """Finds a picture's file among those handed over with a brief and those of the library."""

    def __init__(self, folder: RunFolder | None, library_dir: Path) -> None:
        self._roots = (library_dir,) if folder is None else (folder.library_dir, library_dir)
        self._kept = None if folder is None else folder.kept_dir

    def path(self, picture_id: str) -> Path:
        """The file that holds its pixels. PictureMissing when it is nowhere."""
        for root in self._roots:
            if not root.is_dir():
                continue
            with PictureLibrary.open(root, create=False) as library:
                try:
                    return library.pixels_path(picture_id)
                except PictureMissing:
                    continue
        if self._kept is not None and (self._kept / picture_id).is_file():
            return self._kept / picture_id
        raise PictureMissing(picture_id, "is neither in the run nor in the library.", "It may have been removed.")
