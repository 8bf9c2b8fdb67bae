"""Download: a checkpoint fetched from a model hub, on the user's word only; resumable."""

from __future__ import annotations

import errno
import fnmatch
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from interleaf.errors import CheckpointInvalid, DownloadFailed, InterleafError, OutputUnwritable, shown
from model.conversion import KNOWN_FILES
from model.whole_folder import need_room

__all__ = ["cached", "fetch", "is_hub_id"]

_HUB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")

OnProgress = Callable[[str, int, int], object]


def is_hub_id(text: str) -> bool:
    """Whether this reads like `owner/name` on a model hub."""
    return _HUB_ID.fullmatch(text) is not None


def cached(hub_id: str, revision: str | None = None) -> Path | None:
    """The checkpoint in the hub library's own cache, when all of it was fetched before; nothing is sent."""
    try:
        found = snapshot_download(hub_id, revision=revision, local_files_only=True, allow_patterns=list(KNOWN_FILES))
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None
    return Path(str(found))


def fetch(
    hub_id: str,
    folder: Path,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    on_progress: OnProgress = lambda stage, done, total: None,
) -> str:
    """Fetch the known files of a checkpoint into `folder`; the commit that they are of.

    Nothing that could be run is fetched. What an earlier, interrupted call fetched is kept and gone on with.
    `on_progress` is told ("fetching", bytes, of how many). `endpoint`: the hub's address; None: the library's.

    DownloadFailed: not reached, switched off, not found, not allowed. OutputUnwritable: no room.
    """
    try:
        info = HfApi(endpoint=endpoint).model_info(hub_id, revision=revision, files_metadata=True)
        files = _wanted({part.rfilename: part.size or 0 for part in info.siblings or ()})
        if "config.json" not in files:
            raise CheckpointInvalid(hub_id, "has no config.json.", "Name a repository that holds a whole checkpoint.")
        there = sum((folder / name).stat().st_size for name in files if (folder / name).is_file())
        total_bytes = sum(files.values())
        need_room(folder, max(0, total_bytes - there))
        before = 0
        for name, nbytes in files.items():
            hf_hub_download(
                hub_id,
                name,
                revision=info.sha,
                local_dir=folder,
                endpoint=endpoint,
                tqdm_class=_bar(on_progress, before, total_bytes),
            )
            before += nbytes
            on_progress("fetching", before, total_bytes)
        return str(info.sha)
    except InterleafError:
        raise
    except Exception as error:  # the hub library passes several libraries' errors on
        raise _translated(hub_id, folder, error) from error


def _wanted(files: dict[str, int]) -> dict[str, int]:
    """The known files; of weights in both forms only the safetensors."""
    known = {name: size for name, size in files.items() if any(fnmatch.fnmatchcase(name, p) for p in KNOWN_FILES)}
    if any(name.endswith(".safetensors") for name in known):
        known = {name: size for name, size in known.items() if not name.startswith("pytorch_model")}
    return dict(sorted(known.items()))


def _bar(on_progress: OnProgress, before_bytes: int, total_bytes: int) -> type[Any]:
    """A progress bar for the hub library that draws nothing and tells us, of one file after `before_bytes`."""

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.told = int(kwargs.get("initial") or 0)
            super().__init__(*args, **(kwargs | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            self.told += int(n or 0)
            on_progress("fetching", before_bytes + self.told, total_bytes)

    return Bar


def _translated(hub_id: str, folder: Path, error: Exception) -> InterleafError:
    if isinstance(error, OfflineModeIsEnabled):
        return DownloadFailed(hub_id, "HF_HUB_OFFLINE is set.", "Unset it, or give a folder that holds the checkpoint.")
    if isinstance(error, GatedRepoError):
        return DownloadFailed(hub_id, "asks for an agreement.", "Agree on its page and sign in with: hf auth login")
    if isinstance(error, RepositoryNotFoundError):
        return DownloadFailed(hub_id, "is not on the hub, or private.", "Check the name, or sign in: hf auth login")
    if isinstance(error, RevisionNotFoundError):
        return DownloadFailed(hub_id, "has no such revision.", "Name another with --revision.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputUnwritable(str(folder), "the disk is full.", "Free some space and give the command again.")
    problem = f"could not be fetched ({type(error).__name__}: {shown(error)})."
    return DownloadFailed(hub_id, problem, "Give the same command again: it goes on where it stopped.")
