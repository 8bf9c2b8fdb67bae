"""Outbound: the one way in which the service sends something to an address that somebody else named.

No redirect is followed, no proxy of the environment is used, nothing is unpacked, no cookie is kept.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

import httpcore
import httpx

from interleaf import __version__
from interleaf.errors import TargetAway, TargetRefused
from interleaf.service.retry_after import retry_after_s
from workers.outbound.checked_network import CheckedNetwork
from workers.outbound.deadline import Deadline
from workers.outbound.names import Resolver, checked_addresses, system_resolver
from workers.outbound.target import Target
from workers.settings import Settings

__all__ = ["Outbound", "OutboundLimits", "Reply"]

LOOK_UP_S: Final = 5.0
_BROKEN: Final = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.RemoteProtocolError)


@dataclass(frozen=True)
class OutboundLimits:
    """What one request may cost."""

    all_s: float = 20.0
    """From the look-up of the name to the last byte."""
    idle_s: float = 10.0
    """The other side must not pause for so long."""
    sent_bytes: int = 256 * 1024
    """Largest body that is sent."""
    kept_bytes: int = 16 * 1024
    """Of an answer so much is read; what comes after it is not."""


@dataclass(frozen=True)
class Reply:
    """What the other side answered. A redirect is an answer like any other: it was not followed."""

    status: int
    body: bytes
    """As it came, not unpacked; its beginning, where `cut`."""
    cut: bool
    """Whether it was longer than the limit, or broke off: who has given the status has answered."""
    retry_after_s: float | None = None
    """Seconds that it asks to wait before the next request; None: it does not say."""

    @property
    def accepted(self) -> bool:
        """Whether the other side took what was sent (2xx)."""
        return 200 <= self.status < 300


class Outbound:
    """Sends requests. Safe to use from several threads."""

    def __init__(
        self,
        *,
        private: bool = False,
        https: bool = False,
        limits: OutboundLimits | None = None,
        resolver: Resolver = system_resolver,
        ssl_context: ssl.SSLContext | None = None,
        network: httpcore.NetworkBackend | None = None,
    ) -> None:
        """`private`: an administrator allows private networks, this machine, and all ports. `https`: only over TLS,
        unless `private`. `ssl_context`: whom to trust, instead of the usual authorities. `resolver` and `network`:
        instead of this machine's."""
        self._private = private
        self._https = https
        self._limits = limits or OutboundLimits()
        self._resolver = resolver
        self._ssl_context = ssl_context or httpx.create_ssl_context()
        self._network = network

    @classmethod
    def of(cls, settings: Settings, *, https: bool = False) -> Self:
        """As the settings say."""
        return cls(private=settings.outbound_private, https=https)

    def check(self, url: str) -> None:
        """Whether a request might go to `url` today, to tell whoever names it at once; `post` checks anew.
        TargetRefused, TargetAway."""
        target = self._target(url)
        checked_addresses(target.host, target.port, resolver=self._resolver, private=self._private, timeout_s=LOOK_UP_S)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send `body` to `url` and give the answer, whatever its status. `headers` beside ours.

        TargetRefused: the address is out of bounds, or what is to be sent is too large or cannot be sent.
        TargetAway: no answer came within the limits.
        """
        target = self._target(url)
        if len(body) > self._limits.sent_bytes:
            raise TargetRefused("body", f"is larger than {self._limits.sent_bytes} bytes.", "Send less.")
        with Deadline(self._limits.all_s) as deadline:
            network = CheckedNetwork(self._resolver, private=self._private, deadline=deadline, network=self._network)
            try:
                return self._asked(network, target, body, _all_headers(target, len(body), headers))
            except httpcore.LocalProtocolError as error:
                raise TargetRefused("headers", f"cannot be sent ({error}).", "Correct them.") from error
            except _BROKEN as error:
                if deadline.is_over:
                    problem = f"did not answer within {self._limits.all_s:g} s."
                else:
                    problem = f"did not answer ({type(error).__name__})."
                raise TargetAway(str(target), problem, "Try again later.") from error

    def _target(self, url: str) -> Target:
        target = Target.of(url, any_port=self._private)
        if self._https and not self._private and target.scheme != "https":
            raise TargetRefused(
                str(target),
                "is not asked over https.",
                "Give an https address; an administrator can allow others (INTERLEAF_OUTBOUND_PRIVATE).",
            )
        return target

    def _asked(self, network: CheckedNetwork, target: Target, body: bytes, headers: list[tuple[str, str]]) -> Reply:
        idle_s = self._limits.idle_s
        # One connection, for this request only: an address is checked each time, never taken over from before.
        with (
            httpcore.ConnectionPool(ssl_context=self._ssl_context, network_backend=network, max_connections=1) as pool,
            pool.stream(
                "POST",
                httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
                headers=headers,
                content=body,
                extensions={"timeout": {"connect": idle_s, "read": idle_s, "write": idle_s, "pool": idle_s}},
            ) as response,
        ):
            kept, cut = _beginning(response.iter_stream(), self._limits.kept_bytes)
            # An answer without a length ends where the connection does, and that may have been our doing.
            said = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return Reply(response.status, kept, cut or network.deadline.is_over, retry_after_s(said))


def _all_headers(target: Target, length: int, given: Mapping[str, str]) -> list[tuple[str, str]]:
    ours = {
        "host": target.host_header,
        "content-length": str(length),
        "connection": "close",
        "accept-encoding": "identity",  # and what is packed all the same is not unpacked
        "user-agent": f"interleaf/{__version__}",
    }
    # How the message is framed is nobody else's business.
    refused = {"host", "content-length", "connection", "transfer-encoding", "accept-encoding", "expect", "upgrade"}
    for name in given:
        if name.lower() in refused:
            raise TargetRefused("headers", f"name {name!r}, which is not to be chosen.", "Leave it out.")
    theirs = {name.lower(): value for name, value in given.items()}
    return list((ours | theirs).items())


def _beginning(pieces: Iterable[bytes], most: int) -> tuple[bytes, bool]:
    kept = bytearray()
    try:
        for piece in pieces:
            kept += piece
            if len(kept) > most:
                return bytes(kept[:most]), True
    except _BROKEN:
        return bytes(kept), True
    return bytes(kept), False
