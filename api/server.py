"""Server: the application on a socket, with limits on what a connection may cost. The only file that knows uvicorn."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.door import Door
from workers.service.listening import BACKLOG, listening_socket

__all__ = ["Server", "listening_socket"]

KEEP_ALIVE_S: Final = 15
GRACE_S: Final = 10
MAX_HEADER_BYTES: Final = 32 * 1024
MAX_CONNECTIONS: Final = 1_000


class Server(uvicorn.Server):
    """Answers on sockets of `listening_socket`, until the process is asked to stop (SIGINT, SIGTERM): streams
    then end, requests in flight have 10 seconds."""

    def __init__(self, app: FastAPI, *, ready: Callable[[], object] | None = None) -> None:
        """`ready` is called when requests are answered."""
        self._door: Door = app.state.door
        self._ready = ready
        super().__init__(
            uvicorn.Config(
                app,
                http=_Connection,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
                limit_concurrency=MAX_CONNECTIONS,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
                ws="none",
                server_header=False,
                proxy_headers=False,  # who asks is who is connected, unless an operator says otherwise
                access_log=False,
                log_config=None,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, then tell."""
        await super().startup(sockets)
        if self.started and self._ready is not None:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> Any:
        """Tell the streams first: they would be waited for."""
        self._door.streams.closing = True
        await super().shutdown(sockets)


class _Connection(H11Protocol):
    """A connection that is closed when the head of a request does not come in time: counted from the beginning, and
    from the first byte of a further request. uvicorn itself waits for ever, and so few would hold all connections.

    Of its protocols this is the one whose header size has a limit."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        else:
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._waiting is None:
            app: Any = self.config.app
            door: Door = app.state.door
            self._waiting = self.loop.call_later(door.limits.head_s, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
