"""Usage: what a key has used, by the day, and what its quotas leave of today."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from api.door import Reader, TheDoor
from api.openapi import problems
from api.paging import LINKS, Page, Position, day_of, listed, page_of, positions
from api.strict_json import StrictRoute
from interleaf.errors import InvalidRequest, ScopeMissing
from workers.store.ledger import Amounts, DayUse, Standing

__all__ = ["router"]

router = APIRouter(tags=["usage"], route_class=StrictRoute)

DAYS: Final = 30
"""Without `from`: so many days, today included."""

Day = Annotated[str, WithJsonSchema({"type": "string", "format": "date"})]


class UseView(BaseModel):
    """What was used."""

    jobs: int = Field(description="Taken in, of whatever kind; with those of schedules, batches and edits, and retries")
    ended: int = Field(description="That ended, in whatever way")
    failed: int = Field(description="Of these, those that failed")
    seconds: float = Field(description="Of work, over all attempts, without the waits for a person")
    tokens: int = Field(description="That models wrote")
    bytes: int = Field(description="Of finished files that were kept")


class DayView(UseView):
    """What was used on a day. Work that goes on over midnight counts for each day what was done on it."""

    day: date = Field(description="UTC")


class QuotaView(BaseModel):
    """A quota of the key for each day."""

    name: Literal["max_jobs_per_day", "max_seconds_per_day", "max_tokens_per_day"]
    limit: int
    used: float = Field(description="Today")
    left: float = Field(description="Never less than 0: work that has begun goes on over a quota")


class TodayView(UseView):
    """Today so far, and what is left of it."""

    day: date = Field(description="UTC")
    free_at: datetime = Field(description="When the next day begins, and everything is free again")
    quotas: list[QuotaView] = Field(description="Those that the key has; none: as much as it likes")


class UsageView(Page[DayView]):
    """Days on which something was used, newest first; what they come to, all pages together; and today."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "data": [
                        {
                            "day": "2026-11-27",
                            "jobs": 12,
                            "ended": 11,
                            "failed": 1,
                            "seconds": 431.5,
                            "tokens": 0,
                            "bytes": 5242880,
                        }
                    ],
                    "has_more": False,
                    "first_id": "2026-11-27",
                    "last_id": "2026-11-27",
                    "key_id": "key_01kaj5v1c8m2n4p6q8r0s2t4v6",
                    "from": "2026-10-29",
                    "to": "2026-11-27",
                    "by": "day",
                    "total": {
                        "jobs": 12,
                        "ended": 11,
                        "failed": 1,
                        "seconds": 431.5,
                        "tokens": 0,
                        "bytes": 5242880,
                    },
                    "today": {
                        "day": "2026-11-27",
                        "jobs": 12,
                        "ended": 11,
                        "failed": 1,
                        "seconds": 431.5,
                        "tokens": 0,
                        "bytes": 5242880,
                        "free_at": "2026-11-28T00:00:00Z",
                        "quotas": [{"name": "max_jobs_per_day", "limit": 50, "used": 12, "left": 38}],
                    },
                }
            ]
        },
        serialize_by_alias=True,
    )

    key_id: str
    since: date = Field(alias="from")
    until: date = Field(alias="to")
    by: Literal["day"]
    total: UseView
    today: TodayView


@router.get(
    "/v1/usage",
    response_model=UsageView,
    operation_id="getUsage",
    summary="See what a key has used",
    responses={200: {"headers": LINKS}, **problems(404)},
)
async def get_usage(
    door: TheDoor,
    key: Reader,
    at: Annotated[Position, positions("day")],
    since: Annotated[Day | None, Query(alias="from", description="The first day (UTC); 29 days before `to`")] = None,
    until: Annotated[Day | None, Query(alias="to", description="The last day, included; today")] = None,
    by: Annotated[Literal["day"], Query(description="What a line is for")] = "day",
    key_id: Annotated[str | None, Query(description="Another key, for an admin; the one that asks")] = None,
) -> Response:
    """The numbers are written together with what they tell of, and stay when jobs and pieces are deleted. Days that are
    older than the service keeps them (400 days unless it is set otherwise) are not there."""
    owner = key_id if key_id is not None else key.id
    if owner != key.id and not key.may("admin"):
        raise ScopeMissing("admin", f"is not among the scopes of key {key.prefix}….", "Ask for your own usage.")
    last = door.clock().date() if until is None else day_of(until, "to")
    first = _days_before(last, DAYS - 1) if since is None else day_of(since, "from")
    if first > last:
        raise InvalidRequest("from", f"{first} is later than to ({last}).", "Give the earlier day first.")

    def read() -> UsageView:
        with door.database.reading():
            standing = door.ledger.standing(owner)
            total = door.ledger.total(owner, first, last)
            page: Page[DayView] = page_of(
                lambda limit, after, before: door.ledger.days(owner, first, last, limit, after, before), at, _day_view
            )
        return UsageView(
            **{name: getattr(page, name) for name in Page.model_fields},
            key_id=owner,
            by=by,
            total=UseView(**_told(total)),
            today=_today_view(standing),
            **{"from": first, "to": last},
        )

    return listed(await door.threads.run(read), at)


def _days_before(day: date, count: int) -> date:
    return date.fromordinal(max(1, day.toordinal() - count))


def _told(used: Amounts) -> dict[str, int | float]:
    told = {name: getattr(used, name) for name in UseView.model_fields}
    return told | {"seconds": round(used.seconds, 3)}


def _day_view(one: DayUse) -> DayView:
    return DayView(day=one.day, **_told(one.used))


def _today_view(standing: Standing) -> TodayView:
    quotas = [
        QuotaView(name=quota.name, limit=quota.limit, used=round(quota.used, 3), left=round(quota.left, 3))
        for quota in standing.quotas
    ]
    return TodayView(
        day=standing.free_at.date() - timedelta(days=1),
        free_at=standing.free_at,
        quotas=quotas,
        **_told(standing.used),
    )
