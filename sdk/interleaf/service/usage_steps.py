"""Usage steps: what a key has used, read page after page."""

from __future__ import annotations

from datetime import date
from typing import Final

from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.steps import Steps
from interleaf.service.usage_records import UsageRecord

__all__ = ["usage"]

AT_ONCE: Final = 100


def usage(calls: Calls, since: date | None, until: date | None, key_id: str | None) -> Steps[UsageRecord]:
    """With every day of it; the sums and today are those of the first page."""
    found = yield from ask(calls.get_usage(since=since, until=until, key_id=key_id, limit=AT_ONCE), calls.retrying)
    days, page = [*found.data], found
    while page.has_more and page.last_id is not None:
        # From one day to the other as the first answer said: midnight may pass meanwhile.
        call = calls.get_usage(since=found.since, until=found.until, key_id=key_id, limit=AT_ONCE, after=page.last_id)
        page = yield from ask(call, calls.retrying)
        days += page.data
    last_id = days[-1].day.isoformat() if days else None
    return found.model_copy(update={"data": tuple(days), "has_more": False, "last_id": last_id})
