"""Given files: the uploads that a job's brief names, brought from the artifact store into its run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import select

from interleaf.errors import ArtifactMissing, InvalidBrief
from interleaf.schema import Brief
from interleaf.whole_file import write_whole_pieces
from workers.run.note_archive import unpack_notes
from workers.store.artifacts import ArtifactStore
from workers.store.database import Database
from workers.store.tables import UploadRow
from workers.store.uploads import upload_named

__all__ = ["bring_given", "bring_upload"]

# What the reader of notes and pictures goes by; what a file is was sniffed when it came.
_SUFFIX: Final = {"text/markdown": ".md", "text/plain": ".txt", "application/zip": ".zip", "image/jpeg": ".jpg"}


def bring_upload(row: UploadRow, store: ArtifactStore, folder: Path) -> Path:
    """The file of an upload, in `folder` under its own id; fetched unless it lies there. ArtifactMissing."""
    suffix = _SUFFIX.get(row.media_type, "." + row.media_type.rpartition("/")[2])
    target = folder / f"{row.id}{suffix}"
    if not target.is_file():
        write_whole_pieces(target, store.read(row.file_key))
    return target


def bring_given(
    brief: Brief, owner: str, database: Database, store: ArtifactStore, folder: Path, *, max_notes_bytes: int
) -> Brief:
    """The brief with paths of `folder` in place of `upload:…`; each upload lies there under its own id, an archive of
    notes unpacked.

    InvalidBrief names the field whose upload is not the owner's or expired; SourceUnreadable an archive that is none
    of notes, or unpacks to more than `max_notes_bytes`.
    """

    def brought(path: str, field: str) -> tuple[str, str]:
        upload_id = upload_named(path)
        if upload_id is None:
            return path, ""
        with database.reading() as session:
            row = session.scalars(
                select(UploadRow).where(UploadRow.id == upload_id, UploadRow.owner == owner)
            ).one_or_none()
        try:
            if row is None:
                raise ArtifactMissing(upload_id, "is no upload of yours.")
            target = bring_upload(row, store, folder)
        except ArtifactMissing as error:
            raise InvalidBrief(
                field, f"{upload_id} is not there (any more).", "Upload the file again, and name its new id."
            ) from error
        return str(target), row.name

    sources = []
    for i, source in enumerate(brief.sources):
        if source.path is not None:
            path, name = brought(source.path, f"sources[{i}].path")
            if path != source.path and path.endswith(_SUFFIX["application/zip"]):
                # Its notes have names of their own.
                unpacked = unpack_notes(Path(path), name, Path(path).with_suffix(""), max_bytes=max_notes_bytes)
                source = source.model_copy(update={"path": str(unpacked)})
            else:
                source = source.model_copy(update={"path": path, "name": source.name or name})
        sources.append(source)
    pictures = []
    for i, picture in enumerate(brief.pictures):
        path, name = brought(picture.path, f"pictures[{i}].path")
        pictures.append(picture.model_copy(update={"path": path, "name": picture.name or name}))
    return brief.model_copy(update={"sources": tuple(sources), "pictures": tuple(pictures)})
