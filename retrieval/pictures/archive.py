"""Archive: a ZIP file whose members are read in memory, within limits, and never unpacked to a path."""

from __future__ import annotations

import stat
import threading
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from interleaf.errors import PictureUnreadable
from interleaf.text import clean_line
from retrieval.pictures.decode import MAX_FILE_BYTES, too_many_bytes
from retrieval.pictures.sidecar import MAX_SIDECAR_BYTES
from retrieval.pictures.sniff import HEAD_BYTES

__all__ = ["Archive", "Member"]

MAX_MEMBERS: Final = 100_000
MAX_DEPTH: Final = 64
MAX_TOTAL_BYTES: Final = 64 * 1024**3
# Pictures hardly shrink in a ZIP; blank bitmaps and long manifests do, but they are small.
MAX_RATIO: Final = 200
RATIO_FROM_BYTES: Final = 8 * 1024 * 1024

_ZIP_ERRORS: Final = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError)


class RefusedMember(NamedTuple):
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside: `path` is its cleaned name with `/` (without `..`), `folder` and `name` its two parts."""

    path: str
    folder: str
    name: str
    size_bytes: int
    checksum: int
    info: zipfile.ZipInfo


class Archive:
    """Opened once, read from several threads."""

    def __init__(self, path: Path, label: str) -> None:
        """PictureUnreadable when it is damaged or holds more than the limits allow."""
        self.label = label
        self.refused: list[RefusedMember] = []
        self.ignored_files = 0
        self._lock = threading.Lock()
        try:
            self._zip = zipfile.ZipFile(path)
            infos = self._zip.infolist()
        except _ZIP_ERRORS as error:
            raise PictureUnreadable(
                label, f"the archive is damaged ({error}).", "Make it again, or add the unpacked folder."
            ) from error
        total = sum(info.file_size for info in infos)
        if len(infos) > MAX_MEMBERS or total > MAX_TOTAL_BYTES:
            self._zip.close()
            raise PictureUnreadable(
                label,
                f"the archive holds {len(infos):,} files of {total:,} bytes; at most {MAX_MEMBERS:,} files of "
                f"{MAX_TOTAL_BYTES:,} bytes are read.",
                "Split it, or add the unpacked folder.",
            )
        self._members: dict[str, Member] = {}
        self._names: dict[str, list[str]] = {}
        for info in infos:
            self._take(info)

    def _take(self, info: zipfile.ZipInfo) -> None:
        parts = [clean_line(p) for p in info.filename.replace("\\", "/").split("/") if p not in ("", ".", "..")]
        if info.is_dir() or not parts or any(not p or p.startswith(".") or p == "__MACOSX" for p in parts):
            return
        path = "/".join(parts)
        if stat.S_ISLNK(info.external_attr >> 16):
            self.ignored_files += 1
        elif info.flag_bits & 0x1:
            self.refused.append(RefusedMember(path, "it is encrypted. Make the archive without a password."))
        elif info.file_size > RATIO_FROM_BYTES and info.file_size > MAX_RATIO * max(1, info.compress_size):
            self.refused.append(RefusedMember(path, "it is packed more tightly than any picture. Leave it out."))
        elif path in self._members:
            self.refused.append(RefusedMember(path, "the archive has it twice. Make the archive again."))
        elif len(parts) > MAX_DEPTH:
            self.refused.append(RefusedMember(parts[-1], f"it lies more than {MAX_DEPTH} folders deep. Move it up."))
        else:
            folder = "/".join(parts[:-1])
            self._members[path] = Member(path, folder, parts[-1], info.file_size, info.CRC, info)
            self._names.setdefault(folder, []).append(parts[-1])

    def members(self) -> Iterator[Member]:
        """The files inside, sorted by path."""
        return (self._members[path] for path in sorted(self._members))

    def names_in(self, folder: str) -> list[str]:
        """The names of the files directly in `folder`."""
        return self._names.get(folder, [])

    def head(self, member: Member) -> bytes:
        """The first bytes of a member; empty when they cannot be read."""
        try:
            with self._lock, self._zip.open(member.info) as file:
                return file.read(HEAD_BYTES)
        except _ZIP_ERRORS:
            return b""

    def read(self, member: Member, limit: int = MAX_FILE_BYTES) -> bytes:
        """The bytes of a member. PictureUnreadable when it is damaged or larger than `limit`.

        The size written in the archive is not trusted: reading stops at the limit."""
        label = f"{self.label}/{member.path}"
        try:
            with self._lock, self._zip.open(member.info) as file:
                data = file.read(limit + 1)
        except _ZIP_ERRORS as error:
            raise PictureUnreadable(
                label, f"it cannot be unpacked ({error}).", "Make the archive again, or add the unpacked folder."
            ) from error
        if len(data) > limit:
            raise too_many_bytes(label, member.size_bytes)
        return data

    def read_beside(self, folder: str, name: str) -> bytes:
        """The bytes of a sidecar in `folder`."""
        return self.read(self._members[f"{folder}/{name}" if folder else name], MAX_SIDECAR_BYTES)
