"""Download: a checkpoint fetched from a model hub, on the user's word only; resumable within a file.

The hub library drops a half-fetched file when its process ends, and published shards are 10 GB long. Here the bytes
that came are kept under the file's content name, gone on with by the next call, and held against the hub's sha256.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from interleaf.errors import CheckpointInvalid, DownloadFailed, InterleafError, OutputUnwritable, shown
from model.weights.conversion import KNOWN_FILES
from model.weights.whole_folder import need_room

__all__ = ["cached", "fetch", "is_hub_id"]

_HUB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_READ_BYTES: Final = 2**22

OnProgress = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True)
class _HubFile:
    """A file of a repository: its length, and its sha256 where the hub tells it (of all large files)."""

    name: str
    nbytes: int
    sha256: str | None


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

    Nothing that could be run is fetched. What an earlier, interrupted call fetched is kept and gone on with; only
    one process may fetch into a folder at a time. `on_progress` is told ("fetching", bytes, of how many).
    `endpoint`: the hub's address; None: the library's.

    DownloadFailed: not reached, switched off, not found, not allowed, or something else came. OutputUnwritable.
    """
    try:
        info = HfApi(endpoint=endpoint).model_info(hub_id, revision=revision, files_metadata=True)
        commit = str(info.sha)
        if not _COMMIT.fullmatch(commit):
            raise DownloadFailed(hub_id, f"the hub names {shown(commit)!r} as its commit.", "Check the hub's address.")
        files = _wanted(hub_id, info.siblings or ())
        folder.mkdir(parents=True, exist_ok=True)
        total_bytes = sum(file.nbytes for file in files)
        need_room(folder, max(0, total_bytes - sum(p.stat().st_size for p in folder.iterdir() if p.is_file())))
        before = 0
        for file in files:
            url = hf_hub_url(hub_id, file.name, revision=commit, endpoint=endpoint)
            _fetch_file(file, folder, url, endpoint, _bar(on_progress, before, total_bytes))
            before += file.nbytes
            on_progress("fetching", before, total_bytes)
    except InterleafError:
        raise
    except Exception as error:  # the hub library passes the errors of several others on
        raise _translated(hub_id, folder, error) from error
    return commit


def _wanted(hub_id: str, siblings: Any) -> list[_HubFile]:
    """The known files; of weights in both forms only the safetensors."""
    found = [
        _HubFile(part.rfilename, part.size or 0, part.lfs.sha256 if part.lfs else None)
        for part in siblings
        if any(fnmatch.fnmatchcase(part.rfilename, pattern) for pattern in KNOWN_FILES) and "/" not in part.rfilename
    ]
    if not any(file.name == "config.json" for file in found):
        raise CheckpointInvalid(hub_id, "has no config.json.", "Name a repository that holds a whole checkpoint.")
    if any(file.name.endswith(".safetensors") for file in found):
        found = [file for file in found if not file.name.startswith("pytorch_model")]
    return sorted(found, key=lambda file: file.name)


def _fetch_file(file: _HubFile, folder: Path, url: str, endpoint: str | None, bar: type[Any]) -> None:
    headers = build_hf_headers()
    told = get_hf_file_metadata(url, headers=headers, endpoint=endpoint)
    # The content's name keeps bytes of another commit from being gone on with.
    content = hashlib.sha256(f"{told.etag}:{file.name}".encode()).hexdigest()[:32]
    done, part = folder / file.name, folder / f".{content}.part"
    mark = folder / f".{file.name}.whole"
    if done.is_file() and mark.is_file() and mark.read_text(encoding="ascii", errors="replace") == content:
        return
    location = told.location or url
    if urlsplit(location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # the token is the hub's, not its storage's
    length = part.stat().st_size if part.is_file() else 0
    if told.size is not None and length > told.size:
        part.unlink()
        length = 0
    with part.open("ab") as stream:
        http_get(
            location,
            stream,
            resume_size=length,
            headers=headers,
            expected_size=told.size,
            displayed_filename=file.name,
            tqdm_class=bar,
        )
    if file.sha256 is not None and _sha256(part) != file.sha256:
        part.unlink()
        raise DownloadFailed(file.name, "is not what the hub says it is (sha256).", "Give the same command again.")
    mark.unlink(missing_ok=True)
    part.replace(done)
    mark.write_text(content, encoding="ascii")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _bar(on_progress: OnProgress, before_bytes: int, total_bytes: int) -> type[Any]:
    """A progress bar for the hub library that draws nothing and tells us, of one file after `before_bytes`."""

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.told = int(kwargs.get("initial") or 0)
            kwargs.pop("name", None)  # the library's own bars have names
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
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        problem = f"cannot be written ({error.strerror})."
        return OutputUnwritable(str(folder), problem, "Free some space and give the same command again.")
    problem = f"could not be fetched ({type(error).__name__}: {shown(error)})."
    return DownloadFailed(hub_id, problem, "Give the same command again: it goes on where it stopped.")
