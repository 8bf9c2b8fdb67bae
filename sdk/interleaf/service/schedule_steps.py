"""Schedule steps: what takes several requests of a schedule: the files of its brief sent, its version looked up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from interleaf.brief_file import brief_fields, brief_from
from interleaf.errors import InvalidRequest
from interleaf.schema import Brief
from interleaf.service import schedule_calls
from interleaf.service.brief_sending import send_files
from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.job_steps import GivenBrief
from interleaf.service.service_records import ScheduleLine, ScheduleRecord
from interleaf.service.steps import Do, Steps

__all__ = ["GivenSchedule", "change", "create", "id_of", "sent_template"]

GivenSchedule = ScheduleLine | str
"""A schedule, or its id."""

_FIELDS: Final = frozenset(
    {
        "name",
        "brief",
        "variables",
        "cron",
        "at",
        "time_zone",
        "overlap",
        "catch_up_s",
        "jitter_s",
        "publish_after_s",
        "starts_at",
        "ends_at",
    }
)
# Where a path is filled in for each run, no file of this machine is meant.
_PLACEHOLDER: Final = "{{"


def id_of(schedule: GivenSchedule) -> str:
    """The schedule's id."""
    return schedule if isinstance(schedule, str) else schedule.id


def create(
    calls: Calls, brief: GivenBrief, base: Path | None, said: Mapping[str, Any], idempotency_key: str | None
) -> Steps[ScheduleRecord]:
    """Send the brief's files, then the schedule; what is None is left to the service."""
    fields: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    fields["brief"] = yield from sent_template(calls, brief, base)
    return (yield from ask(schedule_calls.create_schedule(fields, idempotency_key=idempotency_key), calls.retrying))


def change(
    calls: Calls, schedule: GivenSchedule, base: Path | None, changes: Mapping[str, Any]
) -> Steps[ScheduleRecord]:
    """Change what was read, or, of an id alone, what is there now."""
    unknown = sorted(changes.keys() - _FIELDS)
    if unknown:
        raise InvalidRequest(unknown[0], "is no field of a schedule.", f"Fields are: {', '.join(sorted(_FIELDS))}.")
    said = dict(changes)
    if "brief" in said:
        said["brief"] = yield from sent_template(calls, said["brief"], base)
    if isinstance(schedule, str):
        schedule = yield from ask(schedule_calls.get_schedule(schedule), calls.retrying)
    call = schedule_calls.change_schedule(schedule.id, schedule.version, said, calls.retrying)
    return (yield from ask(call, calls.retrying))


def sent_template(calls: Calls, brief: GivenBrief, base: Path | None) -> Steps[dict[str, Any]]:
    """The fields of a brief with placeholders, and its files sent. It is not a brief yet: only the service knows what
    will stand in it."""
    fields: dict[str, Any]
    start = Path.cwd()
    if isinstance(brief, str | Path):
        path = Path(brief)
        fields, start = yield Do(lambda: brief_fields(path))
    elif isinstance(brief, BaseModel):
        fields = brief.model_dump(mode="json", exclude_defaults=True)
    else:
        fields = dict(brief)
    for part in ("sources", "pictures"):
        if part in fields:
            fields[part] = yield from _sent_part(calls, part, fields[part], base or start)
    return fields


def _sent_part(calls: Calls, part: str, given: Any, base: Path) -> Steps[list[Any]]:
    found: list[Any] = []
    for one in given if isinstance(given, list | tuple) else [given]:
        path = one.get("path") if isinstance(one, Mapping) else one
        if isinstance(path, str) and _PLACEHOLDER not in path:
            asked: Brief = yield from send_files(calls, brief_from({"instruction": part, part: [one]}), base)
            found += [word.model_dump(mode="json", exclude_defaults=True) for word in getattr(asked, part)]
        else:
            found.append(one)
    return found
