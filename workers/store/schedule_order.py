"""Schedule order: what an owner says of a schedule: a brief with placeholders, what they stand for, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from interleaf.brief_file import brief_from
from interleaf.errors import InvalidBrief, InvalidRequest, shown
from interleaf.schema import Brief
from interleaf.text import clean_line
from workers.store.placeholders import filled, of_run, require_variables
from workers.store.tables import ScheduleRow
from workers.store.timetable import Timetable
from workers.store.uploads import REFERENCE, upload_named

__all__ = [
    "LEAST_CATCH_UP_S",
    "MAX_CATCH_UP_S",
    "MAX_JITTER_S",
    "MAX_NAME_CHARS",
    "MAX_PUBLISH_AFTER_S",
    "Overlap",
    "ScheduleOrder",
    "brief_uploads",
]

Overlap = Literal["skip", "queue", "cancel_running"]
"""What becomes of a time at which the job of an earlier run has not ended: no run, a run after it, or in its place."""

MAX_NAME_CHARS: Final = 200
LEAST_CATCH_UP_S: Final = 60
"""A shorter window would lose times to a beat that was started anew."""
MAX_CATCH_UP_S: Final = 31 * 24 * 3600
MAX_JITTER_S: Final = 24 * 3600
MAX_PUBLISH_AFTER_S: Final = 366 * 24 * 3600


@dataclass(frozen=True)
class ScheduleOrder:
    """When which piece is to be ordered."""

    name: str
    """A label for people."""
    brief: Mapping[str, Any]
    """The fields of a brief; its texts may hold placeholders."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    cron: str | None = None
    at: datetime | None = None
    """Once, in place of `cron`."""
    time_zone: str = "UTC"
    overlap: Overlap = "skip"
    catch_up_s: int = 3600
    """A time that could not be acted upon for longer than this is missed."""
    jitter_s: int = 0
    publish_after_s: int | None = None
    """A run's piece is published so long after the run was due; None: that is its owner's business."""
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def __post_init__(self) -> None:
        for name in _MOMENTS:
            at = getattr(self, name)
            if at is not None and at.tzinfo is not None:
                object.__setattr__(self, name, at.astimezone(UTC))

    @classmethod
    def of_row(cls, row: ScheduleRow) -> ScheduleOrder:
        return cls(**{name: getattr(row, _COLUMN.get(name, name)) for name in cls.__dataclass_fields__})

    def columns(self) -> dict[str, Any]:
        """The same by the names of the row's attributes."""
        values = {_COLUMN.get(name, name): getattr(self, name) for name in self.__dataclass_fields__}
        return values | {"brief": dict(self.brief), "variables": dict(self.variables)}

    @property
    def timetable(self) -> Timetable:
        return Timetable(self.cron, self.at, self.time_zone, self.starts_at, self.ends_at)

    def require(self) -> None:
        """InvalidRequest names a field that is wrong by itself. The timetable and the brief are asked apart: whether
        they are right depends on when."""
        if not 1 <= len(self.name) <= MAX_NAME_CHARS or self.name != clean_line(self.name):
            raise InvalidRequest("name", "is no label.", f"Give one line of 1 to {MAX_NAME_CHARS} characters.")
        if self.overlap not in get_args(Overlap):
            raise InvalidRequest(
                "overlap", f"{shown(self.overlap)!r} is none.", f"Choose from {', '.join(get_args(Overlap))}."
            )
        for name in _MOMENTS:
            at = getattr(self, name)
            if at is not None and at.tzinfo is None:
                raise InvalidRequest(name, "has no time zone.", "Write it like 2026-01-31T12:00:00Z.")
        for name, least, most in (
            ("catch_up_s", LEAST_CATCH_UP_S, MAX_CATCH_UP_S),
            ("jitter_s", 0, MAX_JITTER_S),
            ("publish_after_s", 0, MAX_PUBLISH_AFTER_S),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InvalidRequest(name, f"{value} is out of range.", f"Give {least} to {most}.")
        require_variables(self.variables)

    def brief_of_run(self, due: datetime, number: int) -> Brief:
        """The brief of a run, filled in and checked as one that comes over the network.

        InvalidRequest names the place of a placeholder that nothing stands for (`brief.…`); InvalidBrief the first
        field that is wrong, with pydantic's error as its cause."""
        brief = brief_from(filled(self.brief, of_run(self.variables, due, self.time_zone, number)))
        brief_uploads(brief)
        return brief


_COLUMN: Final[Mapping[str, str]] = {"at": "once_at"}
_MOMENTS: Final = ("at", "starts_at", "ends_at")


def brief_uploads(brief: Brief) -> list[str]:
    """The ids of the uploads that a brief names. InvalidBrief for any other path: it would name a file of the
    service's machine."""
    paths = [(f"sources[{number}].path", source.path) for number, source in enumerate(brief.sources)]
    paths += [(f"pictures[{number}].path", picture.path) for number, picture in enumerate(brief.pictures)]
    named = []
    for place, path in paths:
        if path is None:
            continue
        upload_id = upload_named(path)
        if upload_id is None:
            raise InvalidBrief(
                place,
                "is a path, which is not taken over the network.",
                f"Send the file with POST /v1/uploads and write {REFERENCE}ID.",
            )
        named.append(upload_id)
    return named
