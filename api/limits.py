"""Limits: how much one request, one key and the whole door take, and the guard that holds requests to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_answer
from interleaf.errors import FileOverLimit, InterleafError, MediaUnsupported, RequestRefused
from workers.settings import Settings

__all__ = ["BodyGuard", "BodyRefused", "BodyTooSlow", "Limits"]

MIB: Final = 2**20
# Room for the frame of a multipart body around its file.
FRAME_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Limits:
    """What holds where a key has no quota of its own, and what holds for everybody."""

    max_body_bytes: int = 8 * MIB
    """Of a JSON body."""
    max_upload_bytes: int = 256 * MIB
    upload_kept_days: int = 30
    head_s: float = 20.0
    """The head of a request must have come by then."""
    body_idle_s: float = 30.0
    """A body must not pause for so long."""
    body_s: float = 120.0
    """A JSON body must have come by then; an upload has ten times as long."""
    requests_per_minute: int = 1_200
    """Of one key."""
    wrong_keys_per_minute: int = 60
    """From one network address; further ones are told to slow down."""
    max_active_jobs: int = 1_000
    """Jobs of one key that have not ended."""
    max_queued_jobs: int = 100_000
    """Of all keys together."""
    max_stored_bytes: int = 10 * 1024 * MIB
    """Uploads and finished files of one key."""
    max_streams: int = 64
    """Event streams of one key at a time."""
    stream_s: float = 3_600.0
    """A stream ends then; its client goes on with Last-Event-ID."""
    heartbeat_s: float = 15.0
    poll_min_s: float = 0.1
    poll_max_s: float = 1.0
    max_wait_s: int = 60
    """Of `Prefer: wait`."""
    library_wait_s: float = 30.0
    """Of a search, for the library worker's answer."""
    threads: int = 12
    """Calls of the database at a time; its pool has room for 15."""

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """As the settings say."""
        return cls(
            max_body_bytes=settings.max_body_mb * MIB,
            max_upload_bytes=settings.max_upload_mb * MIB,
            upload_kept_days=settings.upload_kept_days,
            requests_per_minute=settings.key_requests_per_minute,
            max_active_jobs=settings.key_active_jobs,
            max_stored_bytes=settings.key_stored_mb * MIB,
            max_queued_jobs=settings.max_queued_jobs,
        )


class BodyTooSlow(RequestRefused):
    """A body paused for too long, or took too long altogether."""

    code = "body_too_slow"
    http_status = 408


class BodyRefused(HTTPException):
    """Carries `error` out of the reading of a body; the framework lets exceptions of this kind alone pass."""

    def __init__(self, error: InterleafError) -> None:
        super().__init__(error.http_status, error.message)
        self.error = error


class BodyGuard:
    """ASGI: refuses a body that is declared too large, turns out too large, is compressed, or comes too slowly."""

    def __init__(self, app: ASGIApp, limits: Limits, upload_paths: frozenset[str]) -> None:
        self._app = app
        self._limits = limits
        self._upload_paths = upload_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_upload = scope["path"] in self._upload_paths
        most = self._limits.max_upload_bytes + FRAME_BYTES if is_upload else self._limits.max_body_bytes
        headers = Headers(scope=scope)
        refusal: InterleafError | None = None
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            # What unpacks to any size is not unpacked.
            refusal = MediaUnsupported("Content-Encoding", "is not taken in a request.", "Send the body as it is.")
        elif _declared(headers) > most:
            refusal = _too_large(most)
        if refusal is not None:
            await problem_answer(scope, refusal, {"Connection": "close"})(scope, receive, send)
            return
        seconds = self._limits.body_s * (10 if is_upload else 1)
        await self._app(scope, _Counted(receive, most, self._limits.body_idle_s, seconds), send)


class _Counted:
    """A `receive` that counts the bytes of the body and the time that it takes."""

    def __init__(self, receive: Receive, most: int, idle_s: float, all_s: float) -> None:
        self._receive = receive
        self._most = most
        self._idle_s = idle_s
        self._all_s = all_s
        self._until: float | None = None
        self._bytes = 0
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:  # what is waited for now is the end of the connection
            return await self._receive()
        now = anyio.current_time()
        self._until = self._until or now + self._all_s
        message: Any = None
        with anyio.move_on_after(max(0.0, min(self._idle_s, self._until - now))):
            message = await self._receive()
        if message is None:
            raise BodyRefused(BodyTooSlow("body", "came too slowly.", "Send it again over a better connection."))
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._bytes > self._most:
                raise BodyRefused(_too_large(self._most))
        return message  # type: ignore[no-any-return]


def _declared(headers: Headers) -> int:
    said = headers.get("content-length", "0")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else 0


def _too_large(most: int) -> FileOverLimit:
    return FileOverLimit("body", f"is larger than {most} bytes.", "Send less; large files go to POST /v1/uploads.")
