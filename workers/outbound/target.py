"""Target: an address of the web that somebody else named, read once, by one parser, and never read again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import httpx

from interleaf.errors import TargetRefused

__all__ = ["Target"]

MAX_URL_CHARS: Final = 2_048
_PORTS: Final = {"http": 80, "https": 443}
# Where web servers listen. Whoever could name any port could speak to mail servers and databases, too.
_WEB_PORTS: Final = frozenset({80, 443, 8080, 8443})
_REMEDY: Final = "Give an address such as https://example.org/hooks/7."


@dataclass(frozen=True)
class Target:
    """Where a request goes. `path` with its query may hold a secret: it stands in no message."""

    scheme: str
    host: str
    port: int
    host_header: str
    path: str

    @classmethod
    def of(cls, url: str, *, any_port: bool = False) -> Self:
        """The target that `url` names. TargetRefused: not http or https, credentials in it, a port that is not for
        the web (unless `any_port`), or not written plainly enough to be read in one way only."""
        if len(url) > MAX_URL_CHARS:
            raise TargetRefused("url", f"is longer than {MAX_URL_CHARS} characters.", _REMEDY)
        # Parsers differ in what they make of these; no address needs them unescaped.
        if not url.isprintable() or any(character.isspace() or character == "\\" for character in url):
            raise TargetRefused("url", "holds white space, a control character or a backslash.", _REMEDY)
        try:
            parsed = httpx.URL(url)
            host = parsed.raw_host.decode("ascii")
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise TargetRefused("url", "is no address of the web.", _REMEDY) from error
        if parsed.scheme not in _PORTS or not host:
            raise TargetRefused("url", "is not an http or https address with a host.", _REMEDY)
        if parsed.userinfo:
            raise TargetRefused(host, "comes with a name or password before the host.", "Leave it out of the address.")
        port = _PORTS[parsed.scheme] if parsed.port is None else parsed.port
        if port not in _WEB_PORTS and not (any_port and port > 0):
            allowed = ", ".join(str(one) for one in sorted(_WEB_PORTS))
            raise TargetRefused(
                f"{host}:{port}",
                f"is not a port for the web ({allowed}).",
                "Use one of these; an administrator can allow others (INTERLEAF_OUTBOUND_PRIVATE).",
            )
        return cls(parsed.scheme, host, port, parsed.netloc.decode("ascii"), parsed.raw_path.decode("ascii"))

    def __str__(self) -> str:
        """Host and port: what may stand in a message and in a log."""
        return f"{self.host}:{self.port}"
