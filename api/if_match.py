"""If match: which version of a thing a request is to change: its ETag begins with it, and comes back as If-Match."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final

from fastapi import Header

from interleaf.errors import VersionUnsaid

__all__ = ["IfMatch", "expected_of", "version_tag", "versions_named"]

MAX_HEADER_CHARS: Final = 2_000

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=MAX_HEADER_CHARS,
        description='The ETag that it had when you read it, or its version alone: `"3"`. 428 when it is left out; 412 '
        "when somebody has changed it since.",
    ),
]

# Weak ones too, as a proxy may make them: what follows the version is passed over all the same.
_TAG: Final = re.compile(r'(?:W/)?"([1-9][0-9]{0,17})(?:-[^"]*)?"')


def version_tag(version: int, body: bytes) -> str:
    """The ETag of an answer that shows that version: it changes with all that the answer says."""
    return f'"{version}-{hashlib.sha256(body).hexdigest()[:32]}"'


def versions_named(header: str | None) -> frozenset[int]:
    """The versions that an If-Match names, one or several; none when what it says is no version of ours. VersionUnsaid
    when it is left out, or would take any."""
    said = (header or "").strip()
    if said in ("", "*"):
        raise VersionUnsaid(
            "If-Match", "does not say which version you have read.", "Read it, and send its ETag as If-Match."
        )
    found = (_TAG.fullmatch(one.strip()) for one in said.split(","))
    return frozenset(int(one[1]) for one in found if one is not None)


def expected_of(versions: frozenset[int], newest: int) -> int:
    """The version that is to be there: the newest if it is among them, else one that it is not (0 where none was
    named)."""
    return newest if newest in versions else max(versions, default=0)
