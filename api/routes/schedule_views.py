"""Schedule views: schedules and their runs as the service tells them; and what it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from api.problems import InvalidFields, Problem, problem_of_record
from interleaf.errors import InvalidBrief, InvalidRequest
from interleaf.schema.word import Line
from workers.store.schedule import RunOutcome, Schedule, ScheduleRun
from workers.store.schedule_order import (
    LEAST_CATCH_UP_S,
    MAX_CATCH_UP_S,
    MAX_JITTER_S,
    MAX_NAME_CHARS,
    MAX_PUBLISH_AFTER_S,
    Overlap,
    ScheduleOrder,
)
from workers.store.timetable import MAX_CRON_CHARS, Timetable

__all__ = [
    "ScheduleBody",
    "ScheduleChange",
    "ScheduleLine",
    "ScheduleRunView",
    "ScheduleView",
    "TimesView",
    "TimetableBody",
    "pointing",
]

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2200
MAX_PREVIEW: Final = 100


def _in_range(at: datetime) -> datetime:
    if not FIRST_YEAR < at.year < LAST_YEAR:
        raise ValueError(f"is out of range; give a time after {FIRST_YEAR} and before {LAST_YEAR}")
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
Cron = Annotated[str, Field(min_length=1, max_length=MAX_CRON_CHARS)]
ZoneName = Annotated[str, Field(min_length=1, max_length=64)]
CatchUp = Annotated[int, Field(ge=LEAST_CATCH_UP_S, le=MAX_CATCH_UP_S)]
Jitter = Annotated[int, Field(ge=0, le=MAX_JITTER_S)]
PublishAfter = Annotated[int, Field(ge=0, le=MAX_PUBLISH_AFTER_S)]
Name = Annotated[Line, Field(min_length=1, max_length=MAX_NAME_CHARS)]

_BRIEF: Final = (
    "As of createJob. Texts may hold placeholders: {{ date }}, {{ time }}, {{ year }}, {{ month }}, {{ day }}, "
    "{{ weekday }} (of the run's time, in the schedule's zone), {{ number }} (of the run, from 1), and the names of "
    "`variables`. The first run's brief is checked at once."
)
_VARIABLES: Final = "By name a text or a number, or a list of these of which each run takes the next one"
_CRON: Final = "minute hour day-of-month month day-of-week, in the schedule's zone; or `at`"
_OVERLAP: Final = (
    "When the job of an earlier run has not ended. skip: no run; queue: a run after it, of which 100 may wait; "
    "cancel_running: that one is canceled"
)
_CATCH_UP: Final = "Seconds: what the service could not do for longer than this, since it was away, is missed"
_JITTER: Final = "Seconds: a run is ordered up to so much later, always the same for one time"
_PUBLISH: Final = "Seconds after the run was due at which its piece is published; null: never by itself"


class TimetableBody(BaseModel):
    """When something is due."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"cron": "30 7 * * MON-FRI", "time_zone": "Europe/Berlin"}]},
    )

    cron: Cron | None = Field(None, description=_CRON)
    at: Moment | None = Field(None, description="Once, then")
    time_zone: ZoneName = Field("UTC", description="IANA name, such as Europe/Berlin")
    starts_at: Moment | None = Field(None, description="No time before")
    ends_at: Moment | None = Field(None, description="No time then or later")
    count: int = Field(5, ge=1, le=MAX_PREVIEW, description="How many times to tell")

    def timetable(self, now: datetime) -> Timetable:
        """InvalidRequest names the field that is wrong."""
        made = Timetable(self.cron, self.at, self.time_zone, self.starts_at, self.ends_at)
        made.require(now)
        return made


class TimesView(BaseModel):
    """Times at which something is due."""

    times: list[datetime] = Field(description="The next ones, in the time zone of the timetable")


class ScheduleBody(BaseModel):
    """A schedule to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "The tide of the day",
                    "cron": "30 7 * * MON-FRI",
                    "time_zone": "Europe/Berlin",
                    "brief": {
                        "instruction": "The tide at {{ harbour }} on {{ date }}",
                        "sources": [{"text": "# Tides\n\nThe moon pulls the sea.", "name": "notes.md"}],
                    },
                    "variables": {"harbour": ["Brest", "Cork"]},
                    "publish_after_s": 1800,
                }
            ]
        },
    )

    name: Name = Field(description="A label for people")
    brief: dict[str, Any] = Field(description=_BRIEF)
    variables: dict[str, Any] = Field(default_factory=dict, description=_VARIABLES)
    cron: Cron | None = Field(None, description=_CRON)
    at: Moment | None = Field(None, description="Once, then")
    time_zone: ZoneName = Field("UTC", description="IANA name, such as Europe/Berlin")
    overlap: Overlap = Field("skip", description=_OVERLAP)
    catch_up_s: CatchUp = Field(3600, description=_CATCH_UP)
    jitter_s: Jitter = Field(0, description=_JITTER)
    publish_after_s: PublishAfter | None = Field(None, description=_PUBLISH)
    starts_at: Moment | None = Field(None, description="No run before")
    ends_at: Moment | None = Field(None, description="No run then or later")

    def order(self) -> ScheduleOrder:
        """As the store takes it."""
        return ScheduleOrder(**{name: getattr(self, name) for name in type(self).model_fields})


class ScheduleChange(BaseModel):
    """What is to be other than it was; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"cron": "0 8 * * *"}, {"cron": None, "at": "2030-01-31T12:00Z"}]},
    )

    # The defaults stand for what was left out, and are never looked at.
    name: Name = Field("-", description="A label for people")
    brief: dict[str, Any] = Field(default_factory=dict, description=_BRIEF)
    variables: dict[str, Any] = Field(default_factory=dict, description=_VARIABLES)
    cron: Cron | None = Field(None, description=_CRON)
    at: Moment | None = Field(None, description="Once, then; in place of `cron`, which is to be null then")
    time_zone: ZoneName = Field("UTC", description="IANA name, such as Europe/Berlin")
    overlap: Overlap = Field("skip", description=_OVERLAP)
    catch_up_s: CatchUp = Field(3600, description=_CATCH_UP)
    jitter_s: Jitter = Field(0, description=_JITTER)
    publish_after_s: PublishAfter | None = Field(None, description=_PUBLISH)
    starts_at: Moment | None = Field(None, description="No run before; null: no limit")
    ends_at: Moment | None = Field(None, description="No run then or later; null: no limit")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("nothing is to be changed; name a field")
        return self

    def changes(self) -> dict[str, Any]:
        """What was said, as the store takes it."""
        return {name: getattr(self, name) for name in sorted(self.model_fields_set)}


class ScheduleRunView(BaseModel):
    """What became of a time of a schedule, or of a run by hand."""

    id: str
    due_at: datetime
    by_hand: bool
    outcome: RunOutcome = Field(
        description="waiting (for the run before), ordered, skipped (by `overlap`), missed (by `catch_up_s`) or failed"
    )
    decided_at: datetime
    number: int | None = Field(description="What its brief was told as {{ number }}; null when none was filled in")
    job_id: str | None = Field(description="The job that was ordered; it may have been deleted since")
    publish_at: datetime | None = Field(description="When its piece is published")
    missed_count: int = Field(description="How many times, this and later ones, a missed one stands for; else 0")
    error: Problem | None = Field(description="Why it failed; why it was skipped, where a quota of the key was used up")

    @classmethod
    def of(cls, run: ScheduleRun) -> ScheduleRunView:
        told = {name: getattr(run, name) for name in cls.model_fields if name != "error"}
        return cls(**told, error=None if run.error is None else problem_of_record(run.error))


class ScheduleLine(BaseModel):
    """A schedule in a list. Times are UTC."""

    id: str
    name: str
    cron: str | None
    at: datetime | None
    time_zone: str
    overlap: Overlap
    catch_up_s: int
    jitter_s: int
    publish_after_s: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    paused_at: datetime | None = Field(description="Since when nothing is ordered; null when it is not paused")
    next_due_at: datetime | None = Field(description="The first time that is not decided; null when there is none")
    version: int = Field(description="Rises with each change by its owner; runs do not change it")
    run_count: int = Field(description="The number of the newest run")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def line_of(cls, schedule: Schedule) -> ScheduleLine:
        return ScheduleLine(**_line(schedule))


class ScheduleView(ScheduleLine):
    """A schedule with everything about it."""

    brief: dict[str, Any]
    variables: dict[str, Any]
    next_times: list[datetime] = Field(description="The next five, in its time zone; none while it is paused")
    last_runs: list[ScheduleRunView] = Field(description="The last five, the latest first")

    @classmethod
    def of(cls, schedule: Schedule, now: datetime, runs: Sequence[ScheduleRun]) -> ScheduleView:
        return cls(
            **_line(schedule),
            brief=dict(schedule.order.brief),
            variables=dict(schedule.order.variables),
            next_times=schedule.next_times(now),
            last_runs=[ScheduleRunView.of(run) for run in runs],
        )


def _line(schedule: Schedule) -> dict[str, Any]:
    order = schedule.order
    return {
        name: getattr(order if name in order.__dataclass_fields__ else schedule, name)
        for name in ScheduleLine.model_fields
    }


@contextmanager
def pointing() -> Iterator[None]:
    """What the store says of an order, said of the body: the brief is one of its fields."""
    try:
        yield
    except InvalidBrief as error:
        if isinstance(error.__cause__, ValidationError):  # all of its fields that are wrong, not the first alone
            raise InvalidFields.of(error.__cause__, "invalid_brief", ("body", "brief")) from error
        raise InvalidBrief(f"brief.{error.thing}", error.problem, error.remedy) from error
    except InvalidRequest as error:
        raise InvalidRequest(f"body.{error.thing}", error.problem, error.remedy) from error
