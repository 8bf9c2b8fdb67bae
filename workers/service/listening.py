"""Listening: the service's address as a socket, had before anything else is started."""

from __future__ import annotations

import socket
from typing import Final

from interleaf.errors import RequestRefused

__all__ = ["BACKLOG", "listening_socket", "shown_address"]

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


def shown_address(listening: socket.socket) -> str:
    """Where a client on this machine finds it: `http://127.0.0.1:8000`."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (asked about, not bound)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
