"""Beside: what the files of one folder say of the pictures in it and below: sidecars and manifests."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from interleaf.errors import PictureUnreadable
from retrieval.pictures.decode import too_many_bytes
from retrieval.pictures.metadata import PictureMetadata
from retrieval.pictures.sidecar import (
    MANIFEST_NAMES,
    MAX_SIDECAR_BYTES,
    Manifest,
    is_sidecar_of,
    read_manifest,
    read_picture_sidecar,
)

__all__ = ["Beside", "Note", "read_file"]


class Note(NamedTuple):
    """Something a person should know of a file that was taken, or of a sidecar."""

    name: str
    message: str


@dataclass
class Beside:
    """What the files of one folder say of the pictures in it and below; `read` gives a file's bytes by its name."""

    label: str
    names: frozenset[str]
    read: Callable[[str], bytes]
    manifests: list[Manifest] = field(default_factory=list)
    above: Beside | None = None
    folder_name: str = ""

    @classmethod
    def of_folder(cls, folder: Path, label: str, notes: list[Note], above: Beside | None = None) -> Beside:
        with os.scandir(folder) as entries:
            names = frozenset(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
        return cls.of_names(label, names, lambda name: read_file(folder / name, name, MAX_SIDECAR_BYTES), notes, above)

    @classmethod
    def of_names(
        cls,
        label: str,
        names: frozenset[str],
        read: Callable[[str], bytes],
        notes: list[Note],
        above: Beside | None = None,
    ) -> Beside:
        beside = cls(label, names, read, above=above, folder_name=label.rpartition("/")[2])
        for name in MANIFEST_NAMES:
            if name in names and (data := beside.data(name, notes)) is not None:
                manifest = read_manifest(data, name)
                beside.manifests.append(manifest)
                notes += [Note(f"{label}/{name}", problem) for problem in manifest.problems]
        return beside

    def data(self, name: str, notes: list[Note]) -> bytes | None:
        try:
            return self.read(name)
        except PictureUnreadable as error:
            notes.append(Note(f"{self.label}/{name}", f"{error.problem} {error.remedy}"))
        except OSError as error:
            notes.append(Note(f"{self.label}/{name}", f"it cannot be read ({error.strerror or error})."))
        return None

    def about(self, picture_name: str, notes: list[Note]) -> PictureMetadata:
        """What is said of a picture of this folder: its own sidecar, then manifests from here upwards."""
        said = PictureMetadata()
        for name in is_sidecar_of(picture_name):
            if name in self.names and name not in MANIFEST_NAMES and (data := self.data(name, notes)) is not None:
                own, problem = read_picture_sidecar(data, name, picture_name)
                said = said.over(own) if own else said
                if problem:
                    notes.append(Note(f"{self.label}/{name}", problem))
        path, beside = picture_name, self
        while True:
            for manifest in beside.manifests:
                if metadata := manifest.about(path):
                    said = said.over(metadata)
            if beside.above is None:
                return said
            path, beside = f"{beside.folder_name}/{path}", beside.above


def read_file(path: Path, label: str, limit: int) -> bytes:
    """The bytes of a file. PictureUnreadable when it is larger than `limit` or cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise PictureUnreadable(
            label, f"it cannot be read ({error.strerror or error}).", "Look at its permissions, or leave it out."
        ) from error
    if len(data) > limit:
        raise too_many_bytes(label, path.stat().st_size)
    return data
