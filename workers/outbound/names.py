"""Names: the network addresses of a host, asked for once, and refused together where one of them is refused."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final

from interleaf.errors import TargetAway, TargetRefused
from workers.outbound.standing import standing_of

__all__ = ["Resolver", "checked_addresses", "system_resolver"]

Resolver = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host, best first. OSError where it has none."""

# A host with many addresses must not make one request into many attempts.
MAX_ADDRESSES: Final = 4


def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses that this machine knows for a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def checked_addresses(host: str, port: int, *, resolver: Resolver, private: bool, timeout_s: float) -> tuple[str, ...]:
    """At most four addresses of `host` to which a request may go; `private`: also in private networks.

    TargetRefused when any of its addresses is out of bounds: a name with one good and one bad address is a trick.
    TargetAway when it has none, or nobody says so within `timeout_s` seconds.
    """
    addresses = _resolved(host, port, resolver, timeout_s)
    for address in addresses:
        standing = standing_of(address)
        if standing == "nowhere":
            raise TargetRefused(host, "leads to an address where no request may go.", "Use a host of the internet.")
        if standing == "private" and not private:
            raise TargetRefused(
                host,
                "leads into a private network.",
                "Use a host of the internet; an administrator can allow others (INTERLEAF_OUTBOUND_PRIVATE).",
            )
    return tuple(addresses[:MAX_ADDRESSES])


def _resolved(host: str, port: int, resolver: Resolver, timeout_s: float) -> Sequence[str]:
    """The system's resolver knows no time limit of ours: it is asked in a thread that may come too late."""
    answers: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolver(host, port))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        raise TargetAway(host, "could not be looked up in time.", "Try again later.") from None
    if isinstance(answer, Exception) or not answer:
        cause = answer if isinstance(answer, Exception) else None
        raise TargetAway(host, "is a name without an address.", "Correct the host, or try again later.") from cause
    return answer
