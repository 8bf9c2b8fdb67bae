"""Licence: names brought to one spelling, and the policy a brief sets over them."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field, model_validator

from interleaf.schema.word import Line, Word

__all__ = ["LicencePolicy", "canonical_licence"]

_CC = re.compile(r"\b(?:cc|creative\s*commons)[\s\-_]*(by(?:[\s\-_]*(?:nc|nd|sa))*)[\s\-_]*(\d\.\d)?", re.I)
_CC_URL = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z\-]+)/(\d\.\d)", re.I)
_CC_LONG = (
    ("attribution", "by"),
    ("non-commercial", "nc"),
    ("noncommercial", "nc"),
    ("no derivatives", "nd"),
    ("noderivatives", "nd"),
    ("noderivs", "nd"),
    ("share-alike", "sa"),
    ("sharealike", "sa"),
    ("share alike", "sa"),
)


def canonical_licence(name: str | None) -> str | None:
    """The SPDX-like spelling of a licence name or URL: `CC-BY-SA-4.0`, `CC0-1.0`, `PDM-1.0`.

    What is not recognised is kept as it is written; an empty name is None.
    """
    if name is None or not name.strip():
        return None
    name = name.strip()
    if found := _CC_URL.search(name):
        kind, parts, version = found.group(1).lower(), found.group(2).upper(), found.group(3)
        if kind == "publicdomain":
            return f"CC0-{version}" if parts == "ZERO" else f"PDM-{version}"
        return f"CC-{parts}-{version}"
    low = name.lower()
    if re.search(r"\bcc[\s\-_]?0\b|\bcc[\s\-_]zero\b", low):
        return "CC0-1.0"
    if re.fullmatch(r"public[\s\-_]domain(?:\s+mark)?(?:\s+1\.0)?|pd|pdm-1\.0", low):
        return "PDM-1.0"
    if found := _CC.search(name):
        parts = "-".join(re.findall(r"by|nc|nd|sa", found.group(1).lower())).upper()
        return f"CC-{parts}" + (f"-{found.group(2)}" if found.group(2) else "")
    if "creative commons" in low:
        parts = "-".join(dict.fromkeys(short for long, short in _CC_LONG if long in low)).upper()
        version = re.search(r"\d\.\d", low)
        if parts:
            return f"CC-{parts}" + (f"-{version.group()}" if version else "")
    return name


_PRESETS: dict[str, dict[str, Any]] = {
    "any": {},
    "known": {"unknown_allowed": False},
    "open": {
        "allowed": ("CC0-*", "PDM-*", "CC-BY", "CC-BY-[0-9]*", "CC-BY-SA", "CC-BY-SA-*", "MIT", "Apache-2.0"),
        "unknown_allowed": False,
    },
    "commercial": {"refused": ("*-NC", "*-NC-*"), "unknown_allowed": False},
}


class LicencePolicy(Word):
    """Which licences a picture may carry. Held before ranking: what it refuses is never a candidate.

    A string is a preset: `any` (the default), `known` (a licence must be stated), `open`
    (free to use, change and sell), `commercial` (stated, and not non-commercial); any other
    string, and any list, is taken as the licences that are allowed.
    """

    allowed: tuple[Line, ...] = Field(("*",), description="Patterns over canonical names, such as CC-BY-*")
    refused: tuple[Line, ...] = Field((), description="Patterns that are refused even when allowed above")
    unknown_allowed: bool = Field(True, description="Whether a picture without a stated licence may be used")

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        if isinstance(value, str):
            preset = _PRESETS.get(value.lower())
            value = preset if preset is not None else [value]
        if isinstance(value, list | tuple):
            return {"allowed": tuple(canonical_licence(v) or v for v in value), "unknown_allowed": False}
        return value

    def permits(self, licence: str | None) -> bool:
        """Whether a picture with this licence (any spelling; None = not stated) may be used."""
        name = canonical_licence(licence)
        if name is None:
            return self.unknown_allowed
        if any(fnmatchcase(name.upper(), p.upper()) for p in self.refused):
            return False
        return any(fnmatchcase(name.upper(), p.upper()) for p in self.allowed)
