"""Standing: where a network address lies: in the public internet, in a private network, or where nobody may go."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

__all__ = ["Standing", "standing_of"]

Standing = Literal["public", "private", "nowhere"]

# What an administrator may open: the own machine, the own house, the carrier's network.
_PRIVATE: Final = tuple(
    ip_network(written)
    for written in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1", "fc00::/7")
)
# What no setting opens: this network, link-local with the clouds' metadata, relays, tests, multicast, the future.
_NOWHERE: Final = tuple(
    ip_network(written)
    for written in (
        *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # Clouds that tell a machine its secrets at an address of another kind.
        *("168.63.129.16", "100.100.100.200", "fd00:ec2::254"),
    )
)
# Addresses of today's internet; whatever lies outside is local, multicast, or of no use.
_GLOBAL_IPV6: Final = IPv6Network("2000::/3")
# Prefixes by which a gateway finds an IPv4 address in the last 32 bits.
_NAT64: Final = IPv6Network("64:ff9b::/96")


def standing_of(written: str) -> Standing:
    """Where an address lies. An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4, Teredo) lies where
    that one lies, if it is of the internet at all. What is no address is nowhere."""
    try:
        address = ip_address(written)
    except ValueError:
        return "nowhere"
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:  # an address of one cable
            return "nowhere"
        carried = _carried(address)
        if carried is not None:
            return _worst(*(standing_of(str(one)) for one in carried))
    if _lies_in(address, _NOWHERE):
        return "nowhere"
    if _lies_in(address, _PRIVATE):
        return "private"
    if isinstance(address, IPv6Address) and address not in _GLOBAL_IPV6:
        return "nowhere"
    return "public" if address.is_global else "nowhere"


def _carried(address: IPv6Address) -> tuple[IPv4Address, ...] | None:
    """The IPv4 addresses to which what is sent to `address` may come; None where it carries none."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    return address.teredo


def _lies_in(address: IPv4Address | IPv6Address, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    return any(address in network for network in networks)


def _worst(*standings: Standing) -> Standing:
    order: tuple[Standing, ...] = ("nowhere", "private", "public")
    return min(standings, key=order.index)
