"""Shelf: the folder of models, one sub-folder for each name; adding, listing, verifying, removing.

One process works on a name at a time; others read meanwhile. A killed `add` leaves nothing that is listed, and the
next one clears it away or, where a download was under way, goes on with it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from interleaf.errors import (
    InterleafError,
    InvalidBrief,
    ModelBusy,
    ModelMissing,
    OutputUnwritable,
    RequestRefused,
    Unsupported,
    shown,
)
from model.weights.foreign_folder import ForeignModel, copy_foreign, foreign_model, is_known, open_parts
from model.weights.manifest import Manifest, read_manifest
from model.weights.whole_folder import clear_leftovers

# Torch and transformers take seconds to load, and listing needs neither: they come with the first model added.
if TYPE_CHECKING:
    import torch

    from model.network.config import Task
    from model.weights.conversion import OnProgress
    from model.weights.converted import Problem

__all__ = ["ModelShelf", "ShelvedModel"]

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class ShelvedModel:
    """A model of the shelf: an XComposer has a `manifest`, a chat model of transformers is `foreign`. With neither it
    cannot be used, and `problem` says why."""

    name: str
    folder: Path
    manifest: Manifest | None
    problem: str = ""
    foreign: ForeignModel | None = None


class ModelShelf:
    """The models under `root`, which need not exist."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(
        self,
        source: str | Path,
        name: str | None = None,
        *,
        merge: Task = "base",
        dtype: torch.dtype | None = None,
        replace: bool = False,
        download: bool = False,
        revision: str | None = None,
        endpoint: str | None = None,
        on_progress: OnProgress = lambda stage, done, total: None,
    ) -> ShelvedModel:
        """Convert a checkpoint, a folder or a hub id, into the shelf; a chat model of another family is copied as it
        is. Adding the same again changes nothing.

        `name`: None makes one of the source's. `download`: whether the hub may be asked; without it a hub id works
        when the hub library's cache has it. `on_progress`: see `convert`, and ("fetching", bytes, of how many).

        RequestRefused: no such folder, and no leave to ask the hub. ModelBusy: another process adds this name.
        Unsupported: a chat model of another family is to be merged or cast. Otherwise as `convert`, `copy_foreign` and
        `fetch`.
        """
        from model.weights.conversion import convert
        from model.weights.download import cached, fetch, is_hub_id

        folder = Path(source).expanduser()
        hub_id = str(source) if not folder.exists() else None
        if hub_id is not None and not is_hub_id(hub_id):
            problem = "is no folder here and no hub id (owner/name)."
            raise RequestRefused(shown(source), problem, "Give the folder that holds config.json and the weights.")
        target = self.root / _checked(name if name is not None else _name_of(folder))
        with self._locked(target):

            def made(place: Path, revision: str | None) -> ShelvedModel:
                if is_known(place):
                    _refuse_changes(source, merge, dtype)
                    copied = copy_foreign(place, target, replace=replace, on_progress=on_progress)
                    return ShelvedModel(target.name, target, None, foreign=copied)
                manifest = convert(
                    place,
                    target,
                    merge=merge,
                    dtype=dtype,
                    source_name=hub_id,
                    revision=revision,
                    replace=replace,
                    on_progress=on_progress,
                )
                return ShelvedModel(target.name, target, manifest)

            if hub_id is None:
                return made(folder, None)
            fetched = _fetched(target)
            place, commit = cached(hub_id, revision), revision
            if place is None:
                if not download:
                    raise RequestRefused(
                        hub_id,
                        "is no folder here, and whether it may be fetched from the hub was not said.",
                        "Say --download, or set INTERLEAF_DOWNLOADS=true.",
                    )
                place = fetched
                commit = fetch(hub_id, fetched, revision=revision, endpoint=endpoint, on_progress=on_progress)
            added = made(place, commit)
            shutil.rmtree(fetched, ignore_errors=True)  # its weights live on, converted or copied
        return added

    def path(self, name: str) -> Path:
        """The folder of a model. ModelMissing when there is none of that name."""
        folder = self.root / name
        if not _NAME.fullmatch(name) or not folder.is_dir():
            names = ", ".join(model.name for model in self.list())
            problem = f"no model of this name ({f'there are: {names}' if names else 'there are none yet'})."
            raise ModelMissing(shown(name), problem, "Add one: interleaf models add DIR")
        return folder

    def verify(self, name: str, on_bytes: Callable[[int], object] = lambda count: None) -> list[Problem]:
        """Everything wrong with a model; reads every file of it. Of a chat model of another family, which nothing is
        known to compare with, only that it opens. ModelMissing, WeightsUnusable, Unsupported."""
        folder = self.path(name)
        if foreign_model(folder) is not None:
            for shard in open_parts(folder):
                on_bytes((folder / shard).stat().st_size)
            return []
        from model.weights.converted import verify

        return verify(folder, on_bytes)

    def remove(self, name: str) -> int:
        """Remove a model, and what an interrupted download of it left; the bytes freed. ModelMissing, ModelBusy."""
        target = self.root / name
        left = _NAME.fullmatch(name) is not None and _fetched(target).is_dir()
        if not left:
            self.path(name)
        with self._locked(target):
            places = [place for place in (target, _fetched(target)) if place.exists()]
            freed = sum(p.stat().st_size for place in places for p in place.rglob("*") if p.is_file())
            try:
                for place in places:
                    # Renamed first: what is half removed must not be found.
                    gone = place.rename(target.parent / f".{name}.part")
                    shutil.rmtree(gone)
            except OSError as error:
                problem = f"cannot be removed ({error.strerror or error})."
                raise OutputUnwritable(str(target), problem, "Give yourself the right to write there.") from error
        return freed

    def list(self) -> list[ShelvedModel]:
        """Every model, by name; a folder that is no model is listed with what is wrong."""
        if not self.root.is_dir():
            return []
        found = []
        for folder in sorted(self.root.iterdir()):
            if not folder.is_dir() or folder.name.startswith("."):
                continue
            try:
                foreign = foreign_model(folder)
                manifest = None if foreign else read_manifest(folder)
                found.append(ShelvedModel(folder.name, folder, manifest, foreign=foreign))
            except InterleafError as error:
                found.append(ShelvedModel(folder.name, folder, None, error.message))
        return found

    @contextmanager
    def _locked(self, target: Path) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / f".{target.name}.lock", timeout=0):
                clear_leftovers(target)
                yield
        except Timeout as error:
            raise ModelBusy(
                target.name, "another process works on this model.", "Wait for it to end, then try again."
            ) from error
        except OSError as error:
            problem = f"cannot be written ({error.strerror or error})."
            raise OutputUnwritable(str(self.root), problem, "Name another data folder: INTERLEAF_HOME.") from error


# Inside


def _refuse_changes(source: str | Path, merge: Task, dtype: torch.dtype | None) -> None:
    if merge != "base" or dtype is not None:
        wish = "is of another family and has no task adapters" if merge != "base" else "is kept in its own numbers"
        raise Unsupported(shown(source), f"{wish}.", "Leave --merge and --dtype out: it is copied as it is.")


def _fetched(target: Path) -> Path:
    return target.parent / f".{target.name}.fetched"


def _name_of(source: Path) -> str:
    """A name out of a folder's or a repository's: its small letters, digits, dots and hyphens."""
    plain = source if "/" in str(source) and not source.exists() else source.resolve()
    return re.sub(r"[^a-z0-9._-]+", "-", plain.name.lower()).strip("._-")[:64].rstrip("._-")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidBrief(
            "name",
            f"is {shown(name)!r}; a model's name is 1 to 64 small letters, digits, dots, hyphens or underscores, "
            "with a letter or digit at both ends.",
            "Give one with --name.",
        )
    return name
