"""Part log: what one part says, in a file that does not grow without end; its last lines are kept at hand."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from interleaf.text import clean

__all__ = ["PartLog"]

MAX_FILE_BYTES: Final = 5 * 2**20
MAX_LINE_BYTES: Final = 64 * 1024
KEPT_FILES: Final = 3
LAST_LINES: Final = 8


class PartLog:
    """Lines of a part, appended to `path`; when the file is full it becomes `….log.1`, the one before `….log.2`.

    A disk that is full loses lines, never the part: who writes them must not wait or fail for its log.
    """

    def __init__(
        self, path: Path, *, echo: Callable[[str], None] | None = None, max_bytes: int = MAX_FILE_BYTES
    ) -> None:
        """`echo` gets every line as it comes, fit for a terminal."""
        self.path = path
        self._echo = echo
        self._max_bytes = max_bytes
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._lock = threading.Lock()

    def read_from(self, stream: IO[bytes]) -> threading.Thread:
        """Take everything that comes out of the stream, in a thread that ends with it."""
        thread = threading.Thread(target=self._drain, args=(stream,), name=f"log-{self.path.stem}", daemon=True)
        thread.start()
        return thread

    def last_lines(self) -> list[str]:
        """The last lines, oldest first, fit for a terminal."""
        with self._lock:
            return list(self._last)

    def forget_last(self) -> None:
        """What comes from now on is another process's."""
        with self._lock:
            self._last.clear()

    def _drain(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(MAX_LINE_BYTES):
                self._write(line if line.endswith(b"\n") else line + b"\n")

    def _write(self, line: bytes) -> None:
        shown = clean(line.decode("utf-8", "replace")).rstrip()
        with self._lock:
            if shown:
                self._last.append(shown)
            try:
                self._append(line)
            except OSError as error:
                self._last.append(f"(its log cannot be written: {error.strerror or error})")
        if self._echo is not None and shown:
            self._echo(shown)

    def _append(self, line: bytes) -> None:
        # Opened for each line: whoever moves or removes the file meanwhile disturbs nothing.
        with self.path.open("ab") as file:
            full = file.tell() + len(line) > self._max_bytes
            if not full:
                file.write(line)
        if full:
            for number in range(KEPT_FILES - 1, 0, -1):
                older = self._older(number)
                if older.exists():
                    older.replace(self._older(number + 1))
            self.path.replace(self._older(1))
            self.path.write_bytes(line)

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
