"""Standing: every kind of address that is not of the internet is told apart, in whatever it is wrapped."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.outbound.standing import Standing, standing_of

LIES: dict[Standing, tuple[str, ...]] = {
    "public": ("8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
    "private": (
        *("127.0.0.1", "127.255.0.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
        *("100.127.255.255", "::1", "fc00::1", "fdff::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::1"),
    ),
    "nowhere": (
        *("0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1"),
        *("198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("192.88.99.1", "168.63.129.16", "100.100.100.200", "fd00:ec2::254"),
        *("::", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2001:db8::1", "::7f00:1", "64:ff9b:1::1", "100::1"),
        # Teredo, whose client is 192.0.2.45; NAT64, 6to4 and mapped addresses of the metadata server.
        *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::ffff:169.254.169.254"),
        *("", "localhost", "127.1", "0x7f.0.0.1", "8.8.8.8/8", "::ffff:8.8.8.8%1"),
    ),
}


@pytest.mark.parametrize(("standing", "written"), [(s, one) for s, many in LIES.items() for one in many])
def test_an_address_lies_where_it_lies(standing: Standing, written: str) -> None:
    assert standing_of(written) == standing


@given(st.integers(0, 2**32 - 1))
def test_wrapping_an_address_makes_it_no_better(number: int) -> None:
    bare = standing_of(str(IPv4Address(number)))
    for wrapped in ((0xFFFF << 32) | number, (0x64FF9B << 96) | number, (0x2002 << 112) | (number << 80)):
        assert standing_of(str(IPv6Address(wrapped))) == bare


@given(st.ip_addresses(v=4))
def test_what_python_calls_local_is_never_public(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert standing_of(str(address)) != "public"
