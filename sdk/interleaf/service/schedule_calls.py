"""Schedule calls: every operation on schedules as a value: what is sent, and how the answer is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interleaf.errors import InterleafError, ObjectUnknown, VersionStale
from interleaf.service.call import Call, Settled, ask, reads
from interleaf.service.calls import WAIT_MARGIN_S, as_json, nothing, object_path, pairs
from interleaf.service.retrying import Retrying
from interleaf.service.service_records import JobRecord, Page, ScheduleLine, ScheduleRecord, ScheduleRunRecord, TimeList
from interleaf.service.steps import Sending, Steps

__all__ = [
    "change_schedule",
    "create_schedule",
    "delete_schedule",
    "get_schedule",
    "list_schedule_runs",
    "list_schedules",
    "pause_schedule",
    "preview_schedule",
    "resume_schedule",
    "trigger_schedule",
]

PLACE = "/v1/schedules/"


def create_schedule(fields: Mapping[str, Any], *, idempotency_key: str | None = None) -> Call[ScheduleRecord]:
    sending = Sending("POST", "/v1/schedules", body=as_json("schedule", dict(fields)))
    return Call(sending, reads(ScheduleRecord), "named", idempotency_key)


def preview_schedule(fields: Mapping[str, Any]) -> Call[TimeList]:
    return Call(Sending("POST", "/v1/schedules:preview", body=as_json("timetable", dict(fields))), reads(TimeList))


def list_schedules(*, limit: int | None = None, after: str | None = None) -> Call[Page[ScheduleLine]]:
    return Call(Sending("GET", "/v1/schedules", pairs(limit=limit, after=after)), reads(Page[ScheduleLine]))


def get_schedule(schedule_id: str) -> Call[ScheduleRecord]:
    return Call(Sending("GET", object_path(PLACE, schedule_id)), reads(ScheduleRecord))


def change_schedule(
    schedule_id: str, version: int, changes: Mapping[str, Any], retrying: Retrying
) -> Call[ScheduleRecord]:
    """`retrying` is for the look at what became of a change whose answer was lost."""

    def settle(error: InterleafError) -> Steps[Settled[ScheduleRecord] | None]:
        if not isinstance(error, VersionStale):
            return None
        there = yield from ask(get_schedule(schedule_id), retrying)
        changed = ScheduleRecord.model_validate(there.model_dump() | dict(changes))
        # Ours, unless somebody else has made the very same change, which comes to the same.
        return Settled(there) if there.version == version + 1 and changed == there else None

    sending = Sending(
        "PATCH",
        object_path(PLACE, schedule_id),
        headers={"If-Match": f'"{version}"'},
        body=as_json("schedule", dict(changes)),
    )
    return Call(sending, reads(ScheduleRecord), settle=settle)


def delete_schedule(schedule_id: str) -> Call[None]:
    return Call(Sending("DELETE", object_path(PLACE, schedule_id)), nothing, settle=_gone)


def pause_schedule(schedule_id: str) -> Call[ScheduleRecord]:
    return Call(Sending("POST", object_path(PLACE, schedule_id) + "/pause"), reads(ScheduleRecord))


def resume_schedule(schedule_id: str) -> Call[ScheduleRecord]:
    return Call(Sending("POST", object_path(PLACE, schedule_id) + "/resume"), reads(ScheduleRecord))


def trigger_schedule(schedule_id: str, *, wait_s: int = 0, idempotency_key: str | None = None) -> Call[JobRecord]:
    headers, wait = ({"Prefer": f"wait={wait_s}"}, wait_s + WAIT_MARGIN_S) if wait_s else ({}, 0.0)
    sending = Sending("POST", object_path(PLACE, schedule_id) + "/trigger", headers=headers, wait_s=wait)
    return Call(sending, reads(JobRecord), "named", idempotency_key)


def list_schedule_runs(
    schedule_id: str, *, limit: int | None = None, after: str | None = None, before: str | None = None
) -> Call[Page[ScheduleRunRecord]]:
    path = object_path(PLACE, schedule_id) + "/runs"
    return Call(Sending("GET", path, pairs(limit=limit, after=after, before=before)), reads(Page[ScheduleRunRecord]))


def _gone(error: InterleafError) -> Steps[Settled[None] | None]:
    """That it is not there is what was asked for."""
    yield from ()
    return Settled(None) if isinstance(error, ObjectUnknown) else None
