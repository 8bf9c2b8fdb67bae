"""Server: the application on a socket, with limits on what a connection may cost. The only file that knows uvicorn."""

from __future__ import annotations

import socket
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from api.door import Door
from interleaf.errors import RequestRefused

__all__ = ["Server", "listening_socket"]

KEEP_ALIVE_S: Final = 15
GRACE_S: Final = 10
MAX_HEADER_BYTES: Final = 32 * 1024
MAX_CONNECTIONS: Final = 1_000
BACKLOG: Final = 512


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; port 0: any free one. RequestRefused when it cannot be had."""
    if not 0 <= port < 2**16:
        raise RequestRefused(f"{host}:{port}", "is no address: there is no such port.", "Use 0 to 65535.")
    try:
        # The protocol is named: asyncio turns Nagle's waiting off for sockets that say TCP, and each answer would
        # otherwise lie 40 ms between its headers and its body.
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or type(error).__name__
        raise RequestRefused(f"{host}:{port}", f"cannot be listened at ({said}).", "Use another port.") from error
    return listening


class Server(uvicorn.Server):
    """Answers on sockets of `listening_socket`, until the process is asked to stop (SIGINT, SIGTERM): streams
    then end, requests in flight have 10 seconds."""

    def __init__(self, app: FastAPI) -> None:
        self._door: Door = app.state.door
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",  # the one whose header size has a limit
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> Any:
        """Tell the streams first: they would be waited for."""
        self._door.streams.closing = True
        await super().shutdown(sockets)
