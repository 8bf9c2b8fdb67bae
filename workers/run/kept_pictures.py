"""Kept pictures: those of a library that a piece shows or might show, kept in its run folder too, so that the piece can
be edited and rendered again when they are no longer in the library.

runs/<run id>/kept/<picture id>     the file as the library stores it
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from interleaf.errors import OutputUnwritable, PictureMissing
from interleaf.schema import Article
from interleaf.whole_file import write_whole
from workers.run.picture_shelf import PictureShelf
from workers.run.run_folder import RunFolder

__all__ = ["keep_pictures"]


def keep_pictures(article: Article, folder: RunFolder, library_dir: Path) -> None:
    """Keep those that lie in the library alone. One that is gone already is left out: rendering says which it is.
    OutputUnwritable."""
    shelf = PictureShelf(folder, library_dir)
    for picture in article.pictures:
        with suppress(PictureMissing):
            source = shelf.path(picture.id)
            if not source.is_relative_to(folder.path):
                _keep(source, folder.kept_dir / picture.id)


def _keep(source: Path, target: Path) -> None:
    """A stored file never changes, so a second name for it costs nothing, and outlives the first."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:  # another file system, or one without links
        try:
            write_whole(target, source.read_bytes())
        except FileNotFoundError:  # removed this moment
            return
        except OSError as error:
            raise OutputUnwritable(str(target), f"cannot be written ({error}).", "Look after the disk.") from error
