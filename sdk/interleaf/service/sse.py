"""SSE: a stream of bytes as server-sent events, whatever the pieces in which it comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from interleaf.errors import ServiceError

__all__ = ["Frame", "FrameParser"]

MAX_FRAME_BYTES: Final = 16 * 2**20


@dataclass(frozen=True)
class Frame:
    """One event as it was sent; `id` is empty when it has none."""

    id: str
    name: str
    data: str


class FrameParser:
    """Takes pieces of one stream. `alive`: whether an event or a heartbeat has come."""

    def __init__(self) -> None:
        self.alive = False
        self._rest = b""
        self._fields: dict[str, list[str]] = {}
        self._bytes = 0

    def feed(self, piece: bytes) -> list[Frame]:
        """The events that are whole now. ServiceError when one does not end within 16 MiB."""
        found: list[Frame] = []
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._bytes += len(piece)
        for line in lines:
            if line.rstrip(b"\r"):
                self._read(line.rstrip(b"\r").decode("utf-8", "replace"))
                continue
            if "data" in self._fields:
                self.alive = True
                found.append(Frame(self._last("id"), self._last("event"), "\n".join(self._fields["data"])))
            self._fields, self._bytes = {}, len(self._rest)
        if self._bytes > MAX_FRAME_BYTES:
            raise ServiceError("events", f"one is longer than {MAX_FRAME_BYTES} bytes.", "Is this the service?")
        return found

    def _read(self, line: str) -> None:
        name, _, value = line.partition(":")
        if not name:  # a comment
            self.alive = True
        else:
            self._fields.setdefault(name, []).append(value.removeprefix(" "))

    def _last(self, name: str) -> str:
        return self._fields.get(name, [""])[-1]
