"""Usage records: what a key of the service has used, by the day, and what its quotas leave of today."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from interleaf.service.service_records import Page, Record

__all__ = ["DayRecord", "QuotaRecord", "TodayRecord", "UsageRecord", "UseRecord"]


class UseRecord(Record):
    """What was used: jobs that were taken in, that ended, and that failed; seconds of work, tokens that models wrote,
    bytes of finished files."""

    jobs: int
    ended: int
    failed: int
    seconds: float
    tokens: int
    bytes: int


class DayRecord(UseRecord):
    """What was used on a day (UTC)."""

    day: date


class QuotaRecord(Record):
    """A quota for each day, as the key has it (`max_jobs_per_day`, …), and how far it is used today."""

    name: str
    limit: int
    used: float
    left: float


class TodayRecord(DayRecord):
    """Today so far. `free_at`: when the next day begins; `quotas`: those that the key has."""

    free_at: datetime
    quotas: tuple[QuotaRecord, ...] = ()


class UsageRecord(Page[DayRecord]):
    """Days on which something was used, newest first, from `since` to `until`; what they come to; and today."""

    key_id: str
    since: date = Field(alias="from")
    until: date = Field(alias="to")
    by: str
    total: UseRecord
    today: TodayRecord
