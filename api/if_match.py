"""If match: which version of a thing a request is to change: its ETag when it was read, said again as If-Match."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import Header

from interleaf.errors import VersionStale, VersionUnsaid, shown

__all__ = ["VERSION", "IfMatch", "said_version", "version_tag"]

VERSION: Final[dict[str, Any]] = {
    "ETag": {"schema": {"type": "string"}, "description": "Its version: give it as If-Match to change it"}
}
"""Headers of an answer, for the description."""

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=200,
        description="The ETag that it had when you read it, or `*` for whatever it is now. 428 without; 412 when "
        "somebody has changed it since.",
    ),
]

_TAG: Final = re.compile(r'"v([1-9][0-9]{0,17})"')


def version_tag(version: int) -> str:
    """The ETag of that version."""
    return f'"v{version}"'


def said_version(thing: str, header: str | None) -> int | None:
    """The version that an If-Match names; None for any. VersionUnsaid without one; VersionStale for what is none."""
    said = (header or "").strip()
    if not said:
        raise VersionUnsaid("If-Match", "is not there.", f"Read {thing}, and send its ETag as If-Match.")
    if said == "*":
        return None
    found = _TAG.fullmatch(said)
    if found is None:
        raise VersionStale(thing, f"has no version {shown(said)}.", "Read it, and send its ETag as it came.")
    return int(found[1])
