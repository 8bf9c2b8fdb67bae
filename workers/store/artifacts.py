"""Artifacts: the store of files that jobs make and people send: a local folder, or any store that fsspec speaks to.

A key is ours, never a person's file name: `jobs/job_06a…/3f5a…`. A file appears whole or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import fsspec

from interleaf.errors import ArtifactMissing, FileOverLimit, OutputUnwritable, ServiceAway, SettingInvalid, shown
from interleaf.whole_file import sync_folder

__all__ = ["ArtifactStore", "KeptFile", "StoredFile", "require_key"]

KEY: Final = "INTERLEAF_ARTIFACTS"
PIECE_BYTES: Final = 2**18
MAX_KEY_CHARS: Final = 200
_PART: Final = r"[a-z0-9][a-z0-9_-]{0,99}"
_FILE_KEY: Final = re.compile(rf"(?:{_PART}/){{1,4}}{_PART}")
# What lies aside while it is written begins with a point, which no key does.
_ASIDE: Final = ".part-"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class StoredFile:
    """A file that lies in the store."""

    key: str
    bytes: int
    sha256: str
    """In hexadecimal."""


@dataclass(frozen=True)
class KeptFile:
    """A file of a listing."""

    key: str
    bytes: int
    modified_at: datetime | None


def require_key(key: str) -> str:
    """`key`. ValueError when it is not one of ours: keys are made by this program, so this is its own mistake."""
    if len(key) > MAX_KEY_CHARS or not _FILE_KEY.fullmatch(key):
        raise ValueError(f"{shown(key)} is not a key of the artifact store")
    return key


class ArtifactStore:
    """Files behind `url`: a folder (`/data/artifacts`, `file:///…`), or `s3://BUCKET/FOLDER` with the extra `s3`.

    Safe to share between threads and processes. Every method raises ServiceAway when the store cannot be reached.
    """

    def __init__(self, url: str, **options: Any) -> None:
        """`options` go to fsspec's file system (an S3's endpoint, say; its secrets come from where boto looks).
        SettingInvalid when there is no such kind of store, or what it needs is not installed."""
        try:
            self._files, self._root = fsspec.core.url_to_fs(url, **options)
        except (ValueError, ImportError) as error:
            raise SettingInvalid(
                KEY, f"{shown(url)!r} cannot be opened ({error}).", "Name a folder, or s3://… with interleaf[s3]."
            ) from error
        self._root = self._root.rstrip("/")
        self._is_local = "file" in _protocols(self._files)

    def put(self, key: str, content: BinaryIO | Iterable[bytes], *, max_bytes: int | None = None) -> StoredFile:
        """Store a file under `key`; its size and hash are taken while it is written.

        It appears when it is whole. A file that stands there already is replaced: keys that follow from the content
        make a second writer harmless. FileOverLimit when it has more than `max_bytes`; OutputUnwritable when the disk
        is full or the folder refuses; errors of `content` come through as they are. All leave nothing behind.
        """
        require_key(key)
        pieces = _Pieces(content, max_bytes)
        try:
            with _translated(key):
                if self._is_local:
                    self._put_locally(self._local(key), pieces)
                else:
                    self._put_remotely(self._path(key), pieces)
        except _SourceBroke as broke:
            assert broke.__cause__ is not None
            raise broke.__cause__ from None
        return StoredFile(key, pieces.bytes, pieces.digest.hexdigest())

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` on, at most `length`, in pieces. ArtifactMissing, at once and not at the first
        piece, when it is not there; a range beyond the end is empty."""
        require_key(key)
        if start < 0 or (length is not None and length < 0):
            raise ValueError(f"no range: start {start}, length {length}")
        with _translated(key):
            file = self._files.open(self._path(key), "rb", block_size=PIECE_BYTES)
        return _range_of(file, key, start, length)

    def read_all(self, key: str) -> bytes:
        """The whole file at once. ArtifactMissing."""
        return b"".join(self.read(key))

    def size(self, key: str) -> int:
        """Its bytes. ArtifactMissing."""
        return self.info(key).bytes

    def info(self, key: str) -> KeptFile:
        """Its bytes and when it was written. ArtifactMissing."""
        require_key(key)
        with _translated(key):
            found = self._files.info(self._path(key))
        return KeptFile(key, int(found["size"]), _time_of(found))

    def exists(self, key: str) -> bool:
        require_key(key)
        with _translated(key):
            self._files.invalidate_cache()
            return bool(self._files.isfile(self._path(key)))

    def delete(self, key: str) -> bool:
        """Remove a file; False when it was not there."""
        require_key(key)
        with _translated(key):
            self._files.invalidate_cache()
            try:
                self._files.rm_file(self._path(key))
            except FileNotFoundError:
                return False
            if self._is_local:
                # An empty folder says nothing; one that is not empty stays.
                with suppress(OSError):
                    self._local(key).parent.rmdir()
            return True

    def list(self, prefix: str = "") -> Iterator[KeptFile]:
        """Every file whose key begins with the folder `prefix` (`jobs/job_06a…`), by key. Parts are not listed."""
        folder = self._path(require_key(f"{prefix}/x")[:-2]) if prefix else self._root
        with _translated(prefix):
            self._files.invalidate_cache()
            found = self._files.find(folder, detail=True)
        for path in sorted(found):
            key = str(path)[len(self._root) + 1 :]
            if _FILE_KEY.fullmatch(key):
                info = found[path]
                yield KeptFile(key, int(info["size"]), _time_of(info))

    def sweep(self, older_than: datetime) -> int:
        """Remove what killed writers left aside before that time; how many files. Only a local folder has such."""
        if not self._is_local:
            return 0  # S3 forgets uploads that were not completed, by the bucket's own rule
        removed = 0
        for part in sorted(Path(self._root).rglob(f"{_ASIDE}*")):
            with suppress(FileNotFoundError):
                if part.stat().st_mtime < older_than.timestamp():
                    part.unlink()
                    removed += 1
        return removed

    # Inside

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _local(self, key: str) -> Path:
        return Path(self._root, key)

    def _put_locally(self, path: Path, pieces: _Pieces) -> None:
        # A delete() may take the empty folder away between the two.
        for attempt in (0, 1):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                handle, name = tempfile.mkstemp(prefix=_ASIDE, dir=path.parent)
                break
            except FileNotFoundError:
                if attempt:
                    raise
        aside = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:  # an interrupt too must not leave the part behind
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)

    def _put_remotely(self, path: str, pieces: _Pieces) -> None:
        # An object store shows an object when its upload is completed: nothing needs to lie aside.
        file = self._files.open(path, "wb", autocommit=False)
        try:
            for piece in pieces:
                file.write(piece)
            file.close()
            file.commit()
        except BaseException:
            with suppress(OSError):
                file.discard()
            raise
        self._files.invalidate_cache()


class _SourceBroke(Exception):
    """What was being stored could not be read on: no matter of the store's."""


class _Pieces:
    """A stream in pieces that counts and hashes what passes."""

    def __init__(self, content: BinaryIO | Iterable[bytes], max_bytes: int | None) -> None:
        self.bytes = 0
        self.digest = hashlib.sha256()
        self._content = content
        self._max_bytes = max_bytes

    def __iter__(self) -> Iterator[bytes]:
        source: Iterable[bytes]
        if hasattr(self._content, "read"):
            source = iter(lambda: self._content.read(PIECE_BYTES), b"")  # type: ignore[union-attr]
        else:
            source = self._content
        pieces = iter(source)
        while True:
            try:
                piece = next(pieces)
            except StopIteration:
                return
            except Exception as error:
                raise _SourceBroke from error
            self.bytes += len(piece)
            if self._max_bytes is not None and self.bytes > self._max_bytes:
                raise FileOverLimit("file", f"is larger than {self._max_bytes} bytes.", "Send a smaller one.")
            self.digest.update(piece)
            yield piece


def _range_of(file: Any, key: str, start: int, length: int | None) -> Iterator[bytes]:
    left = length
    with file:
        with _translated(key):
            file.seek(start)
        while left is None or left > 0:
            with _translated(key):
                piece = file.read(PIECE_BYTES if left is None else min(PIECE_BYTES, left))
            if not piece:
                return
            if left is not None:
                left -= len(piece)
            yield piece


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """Errors of the file system and of the object store's client become ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArtifactMissing(key, "is not in the artifact store.", "It may have been deleted.") from error
    except OSError as error:
        if error.errno in _FULL:
            raise OutputUnwritable(
                f"artifact store ({key})", f"is full ({error.strerror}).", f"Free some space, or move {KEY}."
            ) from error
        if isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError | FileExistsError):
            raise OutputUnwritable(
                f"artifact store ({key})",
                f"cannot be used ({error.strerror or error}).",
                f"Correct {KEY} or its rights.",
            ) from error
        raise ServiceAway("artifact store", f"cannot be used now ({error}).", "Try again in a moment.") from error
    except Exception as error:
        # The client of an S3 raises errors of its own where the network fails; it is not installed everywhere.
        if type(error).__module__.split(".")[0] in ("botocore", "aiobotocore", "aiohttp", "s3fs"):
            raise ServiceAway("artifact store", f"cannot be reached ({error}).", "Try again in a moment.") from error
        raise


def _protocols(files: Any) -> tuple[str, ...]:
    said = files.protocol
    return (said,) if isinstance(said, str) else tuple(said)


def _time_of(info: dict[str, Any]) -> datetime | None:
    said = info.get("mtime", info.get("LastModified"))
    if isinstance(said, int | float):
        return datetime.fromtimestamp(said, UTC)
    return said if isinstance(said, datetime) else None
