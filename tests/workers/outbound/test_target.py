"""Target: an address is read in one way, or refused; no message holds its path."""

from __future__ import annotations

import pytest

from interleaf.errors import TargetRefused
from workers.outbound.target import MAX_URL_CHARS, Target


def test_an_address_is_read_once() -> None:
    target = Target.of("https://Hooks.Example.org/a/b%20c?token=s%2Fecret#part")
    assert (target.scheme, target.host, target.port) == ("https", "hooks.example.org", 443)
    assert (target.host_header, target.path) == ("hooks.example.org", "/a/b%20c?token=s%2Fecret")
    assert "ecret" not in str(target)
    assert Target.of("http://bücher.example:8080").host_header == "xn--bcher-kva.example:8080"
    assert Target.of("http://[2606:4700::1]/").host == "2606:4700::1"


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks.example.org", "//example.org/", "/etc/passwd", "file:///etc/passwd", "ftp://example.org/"),
        *("gopher://example.org/", "unix:///run/docker.sock", "javascript:alert(1)", "data:,x", "http://", "http:///x"),
        *("http://user@example.org/", "http://user:word@example.org/", "http://example.org:80@127.0.0.1/"),
        *("http://example.org\\@127.0.0.1/", "http://example.org /", " http://example.org/", "http://exa\tmple.org/"),
        *("http://example.org/\r\nHost: x", "http://example.org/\x00", "http://example.org/\u202e", "http://a\u2028b/"),
        *("http://example.org:0/", "http://example.org:22/", "http://example.org:6379/", "http://example.org:99999/"),
        *("http://example.org:x/", "http://[::1", "http://\ud800.org/", "http://①②⑦.⓪.⓪.①/"),
        "https://example.org/" + "a" * MAX_URL_CHARS,
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused) as refused:
        Target.of(url)
    assert "word" not in refused.value.message.replace("password", "")


def test_ports_are_opened_by_the_administrator_only() -> None:
    with pytest.raises(TargetRefused, match="INTERLEAF_OUTBOUND_PRIVATE"):
        Target.of("http://example.org:9000/")
    assert Target.of("http://example.org:9000/", any_port=True).port == 9000
    with pytest.raises(TargetRefused):
        Target.of("http://example.org:0/", any_port=True)
