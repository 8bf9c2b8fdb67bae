"""Service address: where the service is and with which key it is spoken to. The client's only reader of the
environment: INTERLEAF_SERVER and INTERLEAF_API_KEY."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from interleaf.errors import SettingInvalid, shown

__all__ = ["ServiceAddress"]

_KEY: Final = re.compile(r"[\x21-\x7e]{1,190}")


@dataclass(frozen=True)
class ServiceAddress:
    """A base URL without a slash at its end, and a key that no text of this value shows."""

    url: str
    key: str = field(repr=False)

    @classmethod
    def found(cls, server: str | None = None, key: str | None = None) -> ServiceAddress:
        """From the arguments, or else from the environment. SettingInvalid names what is missing or wrong."""
        url = server if server is not None else os.environ.get("INTERLEAF_SERVER", "")  # noqa: TID251
        secret = key if key is not None else os.environ.get("INTERLEAF_API_KEY", "")  # noqa: TID251
        if not url:
            raise SettingInvalid(
                "INTERLEAF_SERVER", "is not set.", "Set it, or give `server`, such as http://127.0.0.1:8000."
            )
        url = url.rstrip("/")
        try:
            parts = urlsplit(url)
            sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
        except ValueError:
            sound = False
        if not sound or parts.query or parts.fragment or parts.username or not url.isprintable() or " " in url:
            raise SettingInvalid(
                "INTERLEAF_SERVER",
                f"{shown(url.rpartition('@')[2])!r} is no address of a service.",
                "Give http://HOST:PORT or https://HOST, with the key apart from it.",
            )
        if not secret:
            raise SettingInvalid("INTERLEAF_API_KEY", "is not set.", "Set it, or give `key`: a key of the service.")
        if not _KEY.fullmatch(secret):
            raise SettingInvalid("INTERLEAF_API_KEY", "is no key.", "Give it as the service printed it: ilk_….")
        return cls(url, secret)

    @property
    def is_local(self) -> bool:
        """Whether it names this machine; a proxy would lead elsewhere."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"
