"""Download: a file of the service comes to this machine whole and with the right hash, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from interleaf.errors import InterleafError, ServiceError
from interleaf.service.call import passing_error
from interleaf.service.calls import Calls
from interleaf.service.retry_after import retry_after_s
from interleaf.service.retrying import Retrying
from interleaf.service.service_problem import error_of_answer
from interleaf.service.steps import Answer, ConnectionLost, Do, Listen, Pause, Sending, Steps, Take
from interleaf.whole_file import sync_folder, unwritable

__all__ = ["MemoryTarget", "PartFile", "Target", "download", "download_part"]

_SHA256: Final = re.compile(r'"([0-9a-f]{64})"')
_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class Target(Protocol):
    """Where the bytes go."""

    def open(self) -> None: ...
    def write(self, piece: bytes) -> None: ...
    def restart(self) -> None: ...
    def finish(self) -> None: ...
    def discard(self) -> None: ...


class MemoryTarget:
    """Keeps the bytes in memory."""

    def __init__(self) -> None:
        self.content = bytearray()

    def open(self) -> None:
        """Nothing to do."""

    def write(self, piece: bytes) -> None:
        """Add a piece."""
        self.content += piece

    def restart(self) -> None:
        """Forget what came so far."""
        self.content.clear()

    def finish(self) -> None:
        """Nothing to do."""

    def discard(self) -> None:
        """Nothing to do."""


class PartFile:
    """A file that is written aside and gets its name when it is whole. Every method: OutputUnwritable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside: Path | None = None
        self._handle = -1

    def open(self) -> None:
        """Make it, and its folder."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._handle, name = tempfile.mkstemp(prefix=".interleaf-", suffix=".part", dir=self._path.parent)
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._aside = Path(name)

    def write(self, piece: bytes) -> None:
        """Add a piece."""
        try:
            while piece:
                piece = piece[os.write(self._handle, piece) :]
        except OSError as error:
            raise unwritable(self._path, error) from error

    def restart(self) -> None:
        """Forget what came so far."""
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)

    def finish(self) -> None:
        """Give it its name; what stood there before is replaced."""
        assert self._aside is not None
        try:
            os.fsync(self._handle)
            self._aside.chmod(0o644)  # mkstemp gives 0600
            self._aside.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._aside = None

    def discard(self) -> None:
        """Remove it unless it is finished; to be called in any case."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self._aside is not None:
            with contextlib.suppress(OSError):
                self._aside.unlink(missing_ok=True)


def download(calls: Calls, artifact_id: str, target: Target, sha256: str | None = None) -> Steps[None]:
    """Fetch a file that a job made, as `download_part`."""
    part = partial(calls.get_artifact, artifact_id)
    return download_part(calls.retrying, f"artifact {artifact_id}", part, target, sha256)


def download_part(
    retrying: Retrying,
    what: str,
    part: Callable[[int, str], Sending],
    target: Target,
    sha256: str | None = None,
) -> Steps[None]:
    """Fetch a file, going on where a connection broke off: `part(start, etag)` asks for the rest of it. ServiceError
    when its bytes have another hash than the service says, or than `sha256`. `what` names it in errors."""
    count, etag, size, failures = 0, "", None, 0
    digest, heard_at = hashlib.sha256(), time.monotonic()
    try:
        yield Do(target.open)
        while size is None or count < size:
            wait_s: float | None = None
            error: InterleafError
            try:
                answer: Answer = yield Listen(part(count, etag))
                if answer.status >= 300:
                    error = error_of_answer(answer.status, answer.headers, answer.body)
                    if not passing_error(answer, error):
                        raise error
                    wait_s = retry_after_s(answer.headers)
                else:
                    start, size = _part(answer, what)
                    if start != count:
                        yield Do(target.restart)
                        count, digest = 0, hashlib.sha256()
                    etag = answer.headers.get("etag", "")
                    while piece := (yield Take()):
                        yield Do(partial(target.write, piece))
                        digest.update(piece)
                        count, failures, heard_at = count + len(piece), 0, time.monotonic()
                    error = ConnectionLost(what, "broke off.")
            except ConnectionLost as broken:
                error = broken
            if size is not None and count >= size:
                break
            failures += 1
            pause_s = retrying.pause_s(failures, wait_s)
            if failures >= retrying.attempts or time.monotonic() - heard_at + pause_s > retrying.away_s:
                raise error
            yield Pause(pause_s)
        _check(what, digest.hexdigest(), etag, sha256)
        yield Do(target.finish)
    finally:
        target.discard()


def _part(answer: Answer, what: str) -> tuple[int, int]:
    """Where the bytes of the answer begin, and the size of the whole file."""
    if answer.status == 206:
        told = _RANGE.fullmatch(answer.headers.get("content-range", ""))
        if told:
            return int(told[1]), int(told[3])
    length = answer.headers.get("content-length", "")
    if answer.status != 200 or not (length.isascii() and length.isdigit()):
        raise ServiceError(what, "does not say how long it is.", "Is this the service?")
    return 0, int(length)


def _check(what: str, found: str, etag: str, sha256: str | None) -> None:
    told = _SHA256.fullmatch(etag)
    wanted = {hash_ for hash_ in (sha256, told[1] if told else None) if hash_}
    if wanted != {found}:
        raise ServiceError(
            what,
            "came with other bytes than the service says.",
            "Fetch it again; nothing is kept.",
        )
