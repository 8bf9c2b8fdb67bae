"""Editing: a piece changed by the block in its run folder, in this process; the same edits as by the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.context import Writer
from agents.editing.changed import needs_picture, needs_writer
from agents.editing.difference import BlockChange, difference
from agents.editing.history import Step, redo_target, undo_target
from agents.editing.recounting import edited
from agents.editing.rewriting import WriterEdit, written
from interleaf.errors import EditRefused, LibraryBusy
from interleaf.schema import Article
from interleaf.schema.edit import Edit, InsertPicture, SwapPicture
from workers.run.edit_picture import named_picture, taken_picture
from workers.run.intake import read_material
from workers.run.picture_shelf import PictureShelf
from workers.run.run_folder import RunFolder
from workers.run.run_versions import RunVersion, RunVersions
from workers.settings import Settings
from workers.wiring import edit_context, make_embedder

__all__ = ["EditedRun"]


class EditedRun:
    """A finished run whose piece is edited. What changes it says which version it expects to be the newest; when it is
    not, VersionStale is raised and nothing is written. RunUnknown when there is no such run, or no piece yet.

    `writer` stands in for the one that wrote the piece.
    """

    def __init__(
        self, folder: RunFolder, settings: Settings, *, library_dir: Path | None = None, writer: Writer | None = None
    ) -> None:
        self.folder = folder
        self.versions = RunVersions(folder)
        self._settings = settings
        self._library_dir = library_dir or settings.library_dir
        self._writer = writer

    @property
    def shelf(self) -> PictureShelf:
        """Where its pictures lie."""
        return PictureShelf(self.folder, self._library_dir)

    def edit(self, edit: Edit, expected: int, writer: str | None = None) -> RunVersion:
        """Carry the edit out. `writer`: a name, in place of the one that wrote the piece. BlockUnknown; EditRefused;
        NothingToSay; PictureMissing; InvalidBrief for a writer that is none."""
        old = self._at(expected)
        material = read_material(self.folder)
        brought: dict[str, Any] = {"sources": None if material is None else material.sources}
        if needs_writer(edit):
            assert isinstance(edit, WriterEdit)
            embedder = make_embedder(self._settings)
            sources = () if material is None else material.sources
            name = writer or old.run.writer
            context = edit_context(name, embedder, sources, self._settings, pixels=self.shelf.path, made=self._writer)
            brought["written"] = written(old, edit, context, embedder, old.run.seed)
        if needs_picture(edit):
            assert isinstance(edit, SwapPicture | InsertPicture)
            if edit.picture_id is None:
                raise EditRefused("upload_id", "there are no uploads here.", "Take the file in, and name its picture.")
            brought["picture"] = named_picture(edit.picture_id, old, self.folder, material, self._library_dir)
        new = edited(old, edit, expected, **brought)
        return self.versions.write(expected, "edit", lambda steps: (new, None), edit.model_dump(mode="json"))

    def take_in(self, path: Path) -> str:
        """Take a picture file into the run: its id, for an edit. PictureUnreadable; LibraryBusy."""

        def busy() -> None:
            raise LibraryBusy(self.folder.run_id, "another process adds pictures to it.", "Try again in a moment.")

        return taken_picture(path, path.name, self.folder, busy).id

    def undo(self, expected: int) -> RunVersion:
        """Go back to what was there before the last step. EditRefused when there is nothing to undo."""
        return self.versions.write(expected, "undo", lambda steps: self._repeated(undo_target(steps)))

    def redo(self, expected: int) -> RunVersion:
        """Take an undo back. EditRefused when nothing was undone since the last edit."""
        return self.versions.write(expected, "redo", lambda steps: self._repeated(redo_target(steps)))

    def restore(self, expected: int, version: int) -> RunVersion:
        """Make an earlier version the newest. EditRefused when it is the newest already; ObjectUnknown."""
        if version == expected:
            raise EditRefused("version", f"{version} is the newest one already.", "Name an earlier one.")

        def content(steps: list[Step]) -> tuple[Article, int | None]:
            return self._repeated(version)

        return self.versions.write(expected, "restore", content)

    def diff(self, from_version: int, to_version: int) -> tuple[BlockChange, ...]:
        """What changed between two versions. ObjectUnknown."""
        return difference(self.versions.read(from_version).article, self.versions.read(to_version).article)

    def _at(self, version: int) -> Article:
        """The version to edit; whether it is the newest is settled when the next one is written."""
        return self.versions.read(version).article

    def _repeated(self, version: int) -> tuple[Article, int | None]:
        return self.versions.read(version).article, version
