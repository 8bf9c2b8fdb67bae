"""Clock: where the time comes from; handed in, so that tests can move it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

__all__ = ["Clock", "utc_now"]

Clock = Callable[[], datetime]
"""Gives the time of now, with a time zone."""


def utc_now() -> datetime:
    """The machine's time, in UTC."""
    return datetime.now(UTC)
