"""Steps: what the client does, written once: a generator yields what it wants of the network, the clock and the disk,
and whoever drives it, with threads or with an event loop (wire.py), sends back what came of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from interleaf.errors import InterleafError, ServiceAway, SourceUnreadable

__all__ = [
    "Answer",
    "ConnectionLost",
    "Course",
    "Do",
    "Effect",
    "Exchange",
    "Give",
    "Listen",
    "Pause",
    "Sending",
    "SentFile",
    "Steps",
    "Take",
]

T = TypeVar("T")


class ConnectionLost(ServiceAway):
    """There is no connection to the service, or it broke. `sent`: whether the request may have arrived."""

    sent = True


@dataclass(frozen=True)
class SentFile:
    """A file that goes out in a form: bytes, or a file of this machine that is opened anew for each attempt."""

    name: str
    content: bytes | Path

    def open(self) -> BinaryIO:
        """SourceUnreadable."""
        if isinstance(self.content, bytes):
            from io import BytesIO

            return BytesIO(self.content)
        try:
            return self.content.open("rb")
        except OSError as error:
            raise SourceUnreadable(
                self.content.name, f"cannot be read ({error.strerror}).", "Check that it exists and is readable."
            ) from error


@dataclass(frozen=True)
class Sending:
    """A request. `wait_s`: how much longer than usual its answer may take."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    file: SentFile | None = None
    wait_s: float = 0.0


@dataclass(frozen=True)
class Answer:
    """An answer; names of headers are in lower case. `body` is empty while it is still being taken."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Exchange:
    """Send and take in the whole answer: sends back an Answer, or throws ConnectionLost."""

    sending: Sending


@dataclass(frozen=True)
class Listen:
    """Send and keep the answer open for `Take` (one that is an error comes whole): Answer, or ConnectionLost."""

    sending: Sending


@dataclass(frozen=True)
class Take:
    """The next bytes of the answer that is open; none at its end. ConnectionLost."""


@dataclass(frozen=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True)
class Do:
    """Call what may block, and send back what it gives or throw what it raises."""

    work: Callable[[], Any]


@dataclass(frozen=True)
class Give:
    """Hand a value to whoever iterates."""

    value: Any


Effect = Exchange | Listen | Take | Pause | Do | Give
Steps = Generator[Effect, Any, T]


class Course(Generic[T]):
    """Some steps on their way: the part of driving them that needs no network."""

    result: T

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps

    def begin(self) -> Effect | None:
        """The first effect; None when there is none: `result` has what came of it."""
        return self._next(lambda: next(self._steps))

    def tell(self, outcome: Any) -> Effect | None:
        """The next effect, or None at the end."""
        return self._next(lambda: self._steps.send(outcome))

    def fail(self, error: InterleafError) -> Effect | None:
        """The next effect after one that failed, or None at the end."""
        return self._next(lambda: self._steps.throw(error))

    def close(self) -> None:
        """Leave the steps where they are; they tidy up."""
        self._steps.close()

    def _next(self, go: Callable[[], Effect]) -> Effect | None:
        try:
            return go()
        except StopIteration as end:
            self.result = end.value
            return None
