"""Document tag: a document's ETag, and which version a change is meant for. A change that does not say so is refused
(428, RFC 6585), since it might undo what somebody else did meanwhile.

The ETag is `"VERSION-HASH"`: the hash changes with everything that GET tells, files included; what a change is held
against is the version alone, so that files that were finished in between are no reason to refuse it.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Header

from api.reply import etag_of
from interleaf.errors import VersionUnsaid

__all__ = ["MatchedVersion", "expected_of", "version_tag", "versions_named"]

# A proxy that packs an answer makes its ETag a weak one. The version in it is as good as before.
_TAG: Final = re.compile(r'(?:W/)?"([1-9][0-9]{0,8})(?:-[0-9a-f]{1,64})?"')

MatchedVersion = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=2_000,
        description='ETag of the version that is changed, as GET told it; or its number in quotes: "3"',
    ),
]


def version_tag(version: int, body: bytes) -> str:
    """The ETag of a version, told in these bytes."""
    return f'"{version}-{etag_of(body)[1:-1]}"'


def versions_named(header: str | None) -> frozenset[int]:
    """The versions that an If-Match names; an ETag that is none of ours names none. VersionUnsaid."""
    if header is None or header.strip() in ("", "*"):
        raise VersionUnsaid("If-Match", "names no version.", "Read the document, and send its ETag as If-Match.")
    found = (_TAG.fullmatch(one.strip()) for one in header.split(","))
    return frozenset(int(one[1]) for one in found if one is not None)


def expected_of(named: frozenset[int], newest: int) -> int:
    """The version to change: the newest, if it is among those that were named; else one that the store will refuse."""
    return newest if newest in named else max(named, default=0)
