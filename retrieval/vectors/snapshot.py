"""Snapshot: an index in one file that appears whole or not at all, and is believed only when its hash fits.

    faiss bytes | zeros to 8 | numbers int64[N] | counted bits | header JSON | sha256 of header | length | magic

One file, so one rename publishes it (written aside, fsynced, renamed, folder fsynced). The header holds the
format, the encoder, the kind, the counts and the sha256 of everything before it; faiss bytes come first, for
faiss maps a file from its start.

Checking the hash reads the whole file, which would make mapping it pointless. So the hash is checked once
for each file: then its size, inode and times of change (mtime and ctime, in ns) go into a stamp beside it,
and as long as these are the same the bytes have not been written to since. Whatever rewrites, replaces or
touches the file moves ctime, which no ordinary program can set back, and the hash is checked again. What a
stamp cannot see is a disk that changes bytes by itself: `verify_snapshot` reads everything.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from interleaf.errors import IndexUnusable, OutputUnwritable
from retrieval.vectors.nearest import Numbers

__all__ = ["Header", "Snapshot", "read_snapshot", "verify_snapshot", "write_snapshot"]

FORMAT: Final = 1
_MAGIC: Final = b"ilidx001"
_TAIL_BYTES: Final = 32 + 8 + len(_MAGIC)
_MAX_HEADER_BYTES: Final = 1 << 16
_BLOCK_BYTES: Final = 1 << 22
_REMEDY: Final = "Delete the file: it is built again from the catalog."


@dataclass(frozen=True)
class Header:
    """What a snapshot says of itself. `rows` counts positions, `count` those of them that are not removed."""

    encoder: str
    encoder_sha256: str
    dimension: int
    kind: str
    rows: int
    count: int
    effort: int
    recall_near: float
    recall_far: float
    measured_rows: int
    faiss_bytes: int
    sha256: str = ""
    format: int = FORMAT


@dataclass(frozen=True)
class Snapshot:
    """An opened snapshot: the file itself starts with faiss's bytes."""

    path: Path
    header: Header
    numbers: Numbers  # (rows,) by position
    counted: NDArray[np.bool_]  # (rows,) by position
    state: str  # of the file when it was read

    def unchanged(self) -> bool:
        """Whether the path still leads to the file that was read: another process may have replaced it since."""
        return self.state == _state(self.path, self.header.sha256)


def write_snapshot(
    path: Path, header: Header, write_rows: Callable[[Path], None], numbers: Numbers, counted: NDArray[np.bool_]
) -> None:
    """Put a snapshot in the place of `path`, or leave what was there. OutputUnwritable names the reason."""
    aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        aside = Path(name)
        write_rows(aside)
        with aside.open("r+b") as stream:
            faiss_bytes = stream.seek(0, os.SEEK_END)
            stream.write(b"\0" * (-faiss_bytes % 8))
            stream.write(np.ascontiguousarray(numbers, dtype="<i8").tobytes())
            stream.write(np.packbits(counted, bitorder="little").tobytes())
            stream.flush()
            body_sha256 = _sha256(aside, stream.tell())
            written = {**asdict(header), "faiss_bytes": faiss_bytes, "sha256": body_sha256, "format": FORMAT}
            said = json.dumps(written, sort_keys=True).encode("utf-8")
            stream.write(said + hashlib.sha256(said).digest() + len(said).to_bytes(8, "little") + _MAGIC)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
        _fsync_folder(path.parent)
    except OSError as error:
        if aside is not None:
            aside.unlink(missing_ok=True)
        raise OutputUnwritable(
            str(path), f"cannot be written ({error.strerror or error}).", "Check space and rights."
        ) from error
    except BaseException:
        if aside is not None:
            aside.unlink(missing_ok=True)
        raise
    _stamp(path, _state(path, body_sha256))


def read_snapshot(path: Path) -> Snapshot:
    """The snapshot at `path`, its hash checked now or by an earlier open of the same unchanged file.

    IndexUnusable when it is damaged, cut short, or was not written by this program."""
    header, body_bytes = _header(path)
    state = _state(path, header.sha256)
    if not _stamped(path, state):
        _check(path, header, body_bytes)
        _stamp(path, state)
    start = header.faiss_bytes + (-header.faiss_bytes % 8)
    numbers: Numbers = np.zeros(0, np.int64)
    if header.rows:
        numbers = np.asarray(np.memmap(path, dtype="<i8", mode="r", offset=start, shape=(header.rows,)))
    bits = np.fromfile(path, dtype=np.uint8, count=(header.rows + 7) // 8, offset=start + 8 * header.rows)
    counted = np.unpackbits(bits, count=header.rows, bitorder="little").astype(bool)
    return Snapshot(path, header, numbers, counted, state)


def verify_snapshot(path: Path) -> Header:
    """Read every byte again, whatever the stamp says. IndexUnusable when the hash does not fit."""
    header, body_bytes = _header(path)
    _check(path, header, body_bytes)
    return header


def _header(path: Path) -> tuple[Header, int]:
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL_BYTES))
            tail = stream.read(_TAIL_BYTES)
            length = int.from_bytes(tail[32:40], "little")
            if tail[40:] != _MAGIC or not 0 < length <= min(_MAX_HEADER_BYTES, size - _TAIL_BYTES):
                raise _unusable(path, "is not an index of interleaf, or was cut short.")
            stream.seek(size - _TAIL_BYTES - length)
            said = stream.read(length)
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror}).") from error
    if hashlib.sha256(said).digest() != tail[:32]:
        raise _unusable(path, "has a damaged header.")
    values: dict[str, Any] = json.loads(said)
    if values.get("format") != FORMAT:
        raise _unusable(path, f"has format {values.get('format')}, this program reads {FORMAT}.")
    header = Header(**values)
    body_bytes = size - _TAIL_BYTES - length
    whole = header.faiss_bytes + (-header.faiss_bytes % 8) + 8 * header.rows + (header.rows + 7) // 8
    if whole != body_bytes:
        raise _unusable(path, f"has {body_bytes} bytes of rows where its header promises {whole}.")
    return header, body_bytes


def _check(path: Path, header: Header, body_bytes: int) -> None:
    if _sha256(path, body_bytes) != header.sha256:
        raise _unusable(path, "is damaged: its bytes do not fit their hash.")


def _sha256(path: Path, length: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while length > 0 and (block := stream.read(min(_BLOCK_BYTES, length))):
            digest.update(block)
            length -= len(block)
    return digest.hexdigest()


def _state(path: Path, sha256: str) -> str:
    seen = path.stat()
    return json.dumps([seen.st_size, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns, sha256])


def _stamp_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.checked")


def _stamped(path: Path, state: str) -> bool:
    try:
        return _stamp_path(path).read_text(encoding="ascii") == state
    except (OSError, ValueError):
        return False


def _stamp(path: Path, state: str) -> None:
    # Only saves time: without a stamp (a folder that is read-only, say) the hash is checked at every open.
    with suppress(OSError):
        _stamp_path(path).write_text(state, encoding="ascii")


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unusable(path: Path, problem: str) -> IndexUnusable:
    return IndexUnusable(path.name, problem, _REMEDY)
