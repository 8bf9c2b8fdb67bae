"""Checked network: opens connections to addresses that were checked, never to a name, so that nothing can change
between the check and the connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NoReturn

import httpcore

from interleaf.errors import TargetAway
from workers.outbound.deadline import Deadline
from workers.outbound.names import Resolver, checked_addresses

__all__ = ["CheckedNetwork"]

CONNECT_S: Final = 5.0


class CheckedNetwork(httpcore.NetworkBackend):
    """The network of one request. The name is resolved here and nowhere else, once for each connection; TLS and the
    header Host go on speaking of the name."""

    def __init__(
        self, resolver: Resolver, *, private: bool, deadline: Deadline, network: httpcore.NetworkBackend | None = None
    ) -> None:
        """`network`: what opens the connections, instead of sockets of this machine."""
        self._resolver = resolver
        self._private = private
        self.deadline = deadline
        self._network = network or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address that answers. TargetRefused, TargetAway."""
        addresses = checked_addresses(
            host, port, resolver=self._resolver, private=self._private, timeout_s=self.deadline.left_s
        )
        failure: Exception | None = None
        for address in addresses:
            try:
                stream = self._network.connect_tcp(
                    address, port, min(CONNECT_S, self.deadline.left_s), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            connection = stream.get_extra_info("socket")
            if connection is not None:
                self.deadline.watch(connection)
            return stream
        raise TargetAway(f"{host}:{port}", "cannot be connected to.", "Try again later.") from failure

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> NoReturn:
        """Never: that would be a file of this machine."""
        raise httpcore.UnsupportedProtocol("no request goes to a file")
