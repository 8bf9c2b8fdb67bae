"""Timetable: at which moments a schedule is due. Days and hours are those of its time zone, moments are in UTC.

Where clocks are set forward, a time that does not exist that day is due when the gap is over; where they are set back,
a time of day is due once (the first), and what is due every so many minutes or hours goes on through both. That is
how cron of Debian does it, and the library that finds the times here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from interleaf.errors import InvalidRequest, shown

__all__ = ["MAX_CRON_CHARS", "Timetable", "jittered"]

MAX_CRON_CHARS: Final = 200
LAST_YEAR: Final = 2200


@dataclass(frozen=True)
class Timetable:
    """The times of a cron expression, or one moment; from `starts_at` on, before `ends_at`."""

    cron: str | None
    once_at: datetime | None
    time_zone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def require(self, now: datetime) -> None:
        """InvalidRequest names the field that is wrong; a timetable that is never due after `now` is wrong."""
        if (self.cron is None) == (self.once_at is None):
            raise InvalidRequest("cron", "a schedule has `cron` or `at`, exactly one of them.", "Give one of the two.")
        _zone(self.time_zone)
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise InvalidRequest("ends_at", "is not after `starts_at`.", "Give a later end.")
        if self.cron is not None:
            _parsed(self.cron, datetime(2024, 1, 1, tzinfo=UTC))
        if self.after(now) is None:
            field = "cron" if self.cron is not None else "at"
            raise InvalidRequest(field, "is never due after now.", "Give a later time, or a later `ends_at`.")

    def after(self, moment: datetime) -> datetime | None:
        """The first time after `moment`; None when there is none."""
        return next(self.times(moment), None)

    def times(self, after: datetime) -> Iterator[datetime]:
        """All times after that moment, rising, in UTC."""
        if self.starts_at is not None and self.starts_at > after:
            after = self.starts_at.astimezone(UTC) - timedelta(microseconds=1)
        if self.once_at is not None:
            found = iter([self.once_at.astimezone(UTC)] if self.once_at > after else [])
        else:
            assert self.cron is not None
            zone = _zone(self.time_zone)
            found = (time.astimezone(UTC) for time in _parsed(self.cron, after.astimezone(zone)))
        for time in found:
            if (self.ends_at is not None and time >= self.ends_at) or time.year > LAST_YEAR:
                return
            if time > after:
                yield time

    def next_times(self, after: datetime, count: int = 5) -> list[datetime]:
        """The next few times, in the schedule's own zone, as a person reads them."""
        zone = _zone(self.time_zone)
        return [time.astimezone(zone) for time in islice(self.times(after), count)]


def jittered(due: datetime, schedule_id: str, jitter_s: int) -> datetime:
    """When a time is acted upon: up to `jitter_s` seconds later, always the same for one time of one schedule."""
    if not jitter_s:
        return due
    drawn = int.from_bytes(hashlib.sha256(f"{schedule_id}\0{due.timestamp()}".encode()).digest()[:8])
    return due + timedelta(milliseconds=drawn % (1_000 * jitter_s))


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())  # walks through a folder


def _zone(name: str) -> ZoneInfo:
    # Looked up among names that there are: a name is never a path.
    if name not in _zone_names():
        raise InvalidRequest(
            "time_zone", f"{shown(name)!r} is no time zone.", "Write an IANA name, such as Europe/Berlin or UTC."
        )
    return ZoneInfo(name)


def _parsed(cron: str, after: datetime) -> CronSim:
    if len(cron) > MAX_CRON_CHARS or len(cron.split()) != 5:
        raise InvalidRequest(
            "cron",
            f"{shown(cron)!r} has not five fields.",
            "Write minute, hour, day of month, month, day of week: 30 7 * * MON-FRI.",
        )
    try:
        return CronSim(cron, after)
    except CronSimError as error:
        raise InvalidRequest(
            "cron",
            f"{shown(cron)!r} is no cron expression ({str(error).lower()}).",
            "Write minute, hour, day of month, month, day of week: 30 7 * * MON-FRI.",
        ) from error
