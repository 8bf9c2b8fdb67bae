"""Job label: the names that callers give to their jobs: metadata, an external id, a kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from interleaf.errors import InvalidRequest, shown

__all__ = ["MAX_METADATA", "require_external_id", "require_kind", "require_metadata"]

MAX_METADATA: Final = 16
MAX_VALUE_CHARS: Final = 500
MAX_EXTERNAL_ID_CHARS: Final = 200

# Narrow on purpose: a key becomes part of a JSON path when jobs are filtered by it.
_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


def require_metadata(metadata: Mapping[str, str]) -> None:
    """InvalidRequest unless these are at most 16 pairs of a plain key and printable text of up to 500 characters."""
    if len(metadata) > MAX_METADATA:
        raise InvalidRequest("metadata", f"has {len(metadata)} pairs.", f"Give at most {MAX_METADATA}.")
    for key, value in metadata.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise InvalidRequest(
                "metadata", f"{shown(key)!r} is not a key.", "Use 1 to 64 of A-Z, a-z, 0-9, dot, hyphen, underscore."
            )
        _require_plain(f"metadata.{key}", value, MAX_VALUE_CHARS)


def require_external_id(text: str) -> None:
    """InvalidRequest unless this is printable text of 1 to 200 characters."""
    if text == "":
        raise InvalidRequest("external_id", "is empty.", "Leave it out, or give a name.")
    _require_plain("external_id", text, MAX_EXTERNAL_ID_CHARS)


def require_kind(text: str) -> None:
    """InvalidRequest unless this is written as a kind of job."""
    if not _KIND.fullmatch(text):
        raise InvalidRequest("kind", f"{shown(text)!r} is not a kind of job.", "Use a kind such as article.")


def _require_plain(field: str, value: object, max_chars: int) -> None:
    if not isinstance(value, str):
        raise InvalidRequest(field, f"{shown(value)!r} is not text.", "Give a string.")
    if len(value) > max_chars:
        raise InvalidRequest(field, f"has {len(value)} characters.", f"Give at most {max_chars}.")
    if not value.isprintable():
        raise InvalidRequest(field, f"{shown(value)!r} has characters that cannot be shown.", "Leave them out.")
