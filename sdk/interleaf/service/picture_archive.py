"""Picture archive: a folder of pictures with what is written beside them, as one ZIP that the service takes."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from interleaf.errors import PictureUnreadable

__all__ = ["PICTURE_FILES", "SIDECAR_FILES", "files_below", "pack_folder"]

PICTURE_FILES: Final = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif")
)
SIDECAR_FILES: Final = frozenset((".csv", ".json", ".yaml", ".yml"))
# The same folder is the same archive, whenever it is packed.
MOMENT: Final = (1980, 1, 1, 0, 0, 0)


def files_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures and sidecars below a folder, and the archives. Hidden files, and links that lead out, are left
    out."""
    root = folder.resolve()
    files: list[Path] = []
    archives: list[Path] = []
    for path in sorted(root.rglob("*")):
        if any(part.startswith((".", "__")) for part in path.relative_to(root).parts):
            continue
        if not path.is_file() or not path.resolve().is_relative_to(root):
            continue
        if path.suffix.lower() == ".zip":
            archives.append(path)
        elif path.suffix.lower() in PICTURE_FILES | SIDECAR_FILES:
            files.append(path)
    return files, archives


def pack_folder(folder: Path) -> tuple[Path | None, list[Path]]:
    """A temporary archive of the pictures and sidecars below `folder`, which the caller deletes (None when there is no
    picture), and the archives that lie there; see `files_below`.

    PictureUnreadable when a file cannot be read, or there is no room for the archive.
    """
    root = folder.resolve()
    files, archives = files_below(folder)
    if not any(path.suffix.lower() in PICTURE_FILES for path in files):
        return None, archives
    handle, name = tempfile.mkstemp(prefix="interleaf-", suffix=".zip")
    packed = Path(name)
    try:
        with os.fdopen(handle, "wb") as out, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for path in files:
                member = zipfile.ZipInfo(path.relative_to(root).as_posix(), MOMENT)
                with path.open("rb") as source, archive.open(member, "w", force_zip64=True) as target:
                    while piece := source.read(2**20):
                        target.write(piece)
    except OSError as error:
        packed.unlink(missing_ok=True)
        raise PictureUnreadable(
            folder.name, f"cannot be packed ({error.strerror or error}).", "Check that it is readable, and the disk."
        ) from error
    except BaseException:
        packed.unlink(missing_ok=True)
        raise
    return packed, archives
