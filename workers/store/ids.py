"""Ids: names of kept things that sort by the time of their making and that nobody can guess.

`job_06a3…`: a prefix that says what it names, then 26 characters of Crockford's base 32 in lower case (fit for URLs,
folder names and file systems that fold case): 48 bits of milliseconds since 1970, 80 bits from the system's secure
random source. Ids of one kind have one length, so that comparing text compares times.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from interleaf.errors import InvalidRequest, shown

__all__ = ["ID_CHARS", "IdKind", "first_id", "is_id", "is_job_run_id", "made_at", "new_id", "new_run_id", "require_id"]

IdKind = Literal["job", "doc", "art", "upl", "key", "req", "lib", "lrq", "sch", "bat", "whk", "msg"]

ID_CHARS: Final = 30
"""Length of every id: prefix, underscore, 26 characters."""

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_DIGITS: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_BODY: Final = re.compile(f"[0-7][{_ALPHABET}]{{25}}")
_JOB_RUN: Final = re.compile("j-[0-9a-f]{16}")
_RANDOM_BITS: Final = 80
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


def new_id(kind: IdKind, now: datetime) -> str:
    """A new id of the millisecond in which `now` (with a time zone) lies."""
    return f"{kind}_{_written(_milliseconds(now) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS))}"


def new_run_id(*, of_job: bool = False) -> str:
    """The name of a new run's folder, from a secure random source: `r-5b0f3c…`, of a job's run `j-5b0f3c…`."""
    return f"{'j' if of_job else 'r'}-{secrets.token_hex(8)}"


def is_job_run_id(text: str) -> bool:
    """Whether `text` names the run of a job. Runs of a person's own belong to no job, and to nobody else."""
    return _JOB_RUN.fullmatch(text) is not None


def first_id(kind: IdKind, at: datetime) -> str:
    """The lowest id of the first millisecond that is not before `at`: `id >= first_id(…)` means "made at or after"."""
    ms = _milliseconds(at)
    return f"{kind}_{_written((ms if _EPOCH + ms * _MS >= at else ms + 1) << _RANDOM_BITS)}"


def is_id(kind: IdKind, text: str) -> bool:
    """Whether `text` is written as an id of that kind."""
    return text.startswith(f"{kind}_") and _BODY.fullmatch(text, len(kind) + 1) is not None


def require_id(kind: IdKind, text: str, field: str) -> str:
    """`text`. InvalidRequest that names `field` when it is not written as an id of that kind."""
    if not is_id(kind, text):
        raise InvalidRequest(field, f"{shown(text)!r} is not an id of the form {kind}_….", "Give an id as it was told.")
    return text


def made_at(text: str) -> datetime:
    """The time of an id, in UTC, to the millisecond. ValueError when it is not an id."""
    body = text.rpartition("_")[2]
    if not _BODY.fullmatch(body):
        raise ValueError(f"{shown(text)} is not an id")
    value = 0
    for letter in body:
        value = value << 5 | _DIGITS[letter]
    return _EPOCH + (value >> _RANDOM_BITS) * _MS


def _milliseconds(at: datetime) -> int:
    if at.tzinfo is None:
        raise ValueError("a time without a time zone has no place in an id")
    ms = (at - _EPOCH) // _MS
    if not 0 <= ms < 1 << 48:
        raise ValueError(f"{at.isoformat()} does not fit into an id")
    return ms


def _written(value: int) -> str:
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
