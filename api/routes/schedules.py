"""Schedules: pieces that are ordered by the clock: made, looked at, changed, paused, run now, their history."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from api.door import Door, Reader, TheDoor, Writer
from api.idempotency import IdempotencyKey, named_request
from api.if_match import IfMatch, expected_of, version_tag, versions_named
from api.openapi import ETAG, NO_CONTENT, problems
from api.paging import LINKS, Page, Position, listed, page_of, positions
from api.reply import answer_of, reply, response_of
from api.routes.job_view import JobView
from api.routes.jobs import CREATED, Prefer, created
from api.routes.schedule_views import (
    ScheduleBody,
    ScheduleChange,
    ScheduleLine,
    ScheduleRunView,
    ScheduleView,
    TimesView,
    TimetableBody,
    pointing,
)
from api.strict_json import StrictRoute
from workers.store.answered import Answer
from workers.store.job import Job
from workers.store.schedule import Schedule

__all__ = ["router"]

PATH: Final = "/v1/schedules"
LAST_RUNS: Final = 5
LOCATION: Final[dict[str, Any]] = {"Location": {"schema": {"type": "string"}, "description": "The schedule"}}
CHANGED: Final[dict[int | str, dict[str, Any]]] = {200: {"headers": ETAG}}

router = APIRouter(tags=["schedules"], route_class=StrictRoute)


@router.post(
    PATH,
    status_code=201,
    response_model=ScheduleView,
    operation_id="createSchedule",
    summary="Make a schedule",
    responses={201: {"headers": LOCATION | ETAG}, **problems(404, 409)},
)
async def create_schedule(
    request: Request, door: TheDoor, key: Writer, body: Annotated[ScheduleBody, Body()], name: IdempotencyKey = None
) -> Response:
    """Orders a piece at the times of a cron expression, or once. Its first run's brief is filled in and checked, and
    uploads that it names are kept as long as it exists."""
    named = named_request(request, key, name, await request.body())

    def make() -> Answer:
        with pointing():
            schedule = door.schedules.create(key.id, body.order())
        answer = answer_of(ScheduleView.of(schedule, door.clock(), ()), 201, {"Location": f"{PATH}/{schedule.id}"})
        return replace(answer, headers={**answer.headers, "ETag": version_tag(schedule.version, answer.body)})

    def once() -> tuple[Answer, bool]:
        return (make(), False) if named is None else door.answered.once(named, make)

    given, replayed = await door.threads.run(once)
    return response_of(given, replayed=replayed)


@router.post(
    f"{PATH}:preview",
    response_model=TimesView,
    operation_id="previewSchedule",
    summary="Tell when a timetable is due",
)
async def preview_schedule(door: TheDoor, key: Reader, body: Annotated[TimetableBody, Body()]) -> Response:
    """The next times of a timetable, before a schedule is made of it. Nothing is kept."""

    def tell() -> TimesView:
        now = door.clock()
        with pointing():
            return TimesView(times=body.timetable(now).next_times(now, body.count))

    return reply(await door.threads.run(tell))


@router.get(
    PATH,
    response_model=Page[ScheduleLine],
    operation_id="listSchedules",
    summary="List schedules, newest first",
    responses={200: {"headers": LINKS}},
)
async def list_schedules(door: TheDoor, key: Reader, at: Annotated[Position, positions("sch")]) -> Response:
    """Without their briefs."""

    def read() -> Page[ScheduleLine]:
        return page_of(
            lambda limit, after, before: door.schedules.list(key.id, limit, after, before), at, ScheduleLine.line_of
        )

    return listed(await door.threads.run(read), at)


@router.get(
    PATH + "/{schedule_id}",
    response_model=ScheduleView,
    operation_id="getSchedule",
    summary="Look at a schedule",
    responses=CHANGED,
)
async def get_schedule(schedule_id: str, door: TheDoor, key: Reader) -> Response:
    """With its next five times and its last five runs. Its ETag begins with its version, which a change must name."""
    return await door.threads.run(lambda: _view(door, door.schedules.get(schedule_id, key.id)))


@router.patch(
    PATH + "/{schedule_id}",
    response_model=ScheduleView,
    operation_id="changeSchedule",
    summary="Change a schedule",
    responses=CHANGED | problems(412, 428),
)
async def change_schedule(
    schedule_id: str,
    door: TheDoor,
    key: Writer,
    body: Annotated[ScheduleChange, Body()],
    if_match: IfMatch = None,
) -> Response:
    """Replaces the fields that are said. What was due before is decided as it was; times that are to come are those of
    the new timetable."""
    named = versions_named(if_match)

    def change() -> Response:
        expected = expected_of(named, door.schedules.get(schedule_id, key.id).version)
        with pointing():
            schedule = door.schedules.change(schedule_id, key.id, expected, body.changes())
        return _view(door, schedule)

    return await door.threads.run(change)


@router.delete(
    PATH + "/{schedule_id}",
    status_code=204,
    operation_id="deleteSchedule",
    summary="Delete a schedule",
    responses=NO_CONTENT,
)
async def delete_schedule(schedule_id: str, door: TheDoor, key: Writer) -> Response:
    """With its history. Jobs that it ordered go on; uploads that it named expire as if they were sent now, unless
    another schedule names them."""
    await door.threads.run(door.schedules.delete, schedule_id, key.id)
    return Response(status_code=204)


@router.post(
    PATH + "/{schedule_id}/pause",
    response_model=ScheduleView,
    operation_id="pauseSchedule",
    summary="Pause a schedule",
    responses=CHANGED,
)
async def pause_schedule(schedule_id: str, door: TheDoor, key: Writer) -> Response:
    """Nothing is ordered until it is resumed. Asking twice does no harm."""
    return await door.threads.run(lambda: _view(door, door.schedules.pause(schedule_id, key.id)))


@router.post(
    PATH + "/{schedule_id}/resume",
    response_model=ScheduleView,
    operation_id="resumeSchedule",
    summary="Resume a schedule",
    responses=CHANGED,
)
async def resume_schedule(schedule_id: str, door: TheDoor, key: Writer) -> Response:
    """It goes on with its next time; those that passed meanwhile are not caught up. Asking twice does no harm."""
    return await door.threads.run(lambda: _view(door, door.schedules.resume(schedule_id, key.id)))


@router.post(
    PATH + "/{schedule_id}/trigger",
    status_code=202,
    response_model=JobView,
    operation_id="triggerSchedule",
    summary="Run a schedule now",
    responses=CREATED | problems(409),
)
async def trigger_schedule(
    request: Request,
    schedule_id: str,
    door: TheDoor,
    key: Writer,
    name: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """A job at once, with the schedule's next number, whatever its timetable says: also when it is paused, or over, and
    beside a run that has not ended."""

    def create() -> Job:
        with pointing():
            return door.schedules.trigger(schedule_id, key.id)

    return await created(door, key, named_request(request, key, name, b""), prefer, create)


@router.get(
    PATH + "/{schedule_id}/runs",
    response_model=Page[ScheduleRunView],
    operation_id="listScheduleRuns",
    summary="List what became of a schedule's times",
    responses={200: {"headers": LINKS}},
)
async def list_runs(
    schedule_id: str, door: TheDoor, key: Reader, at: Annotated[Position, positions("run")]
) -> Response:
    """The latest times first; runs by hand are among them."""

    def read() -> Page[ScheduleRunView]:
        return page_of(
            lambda limit, after, before: door.schedules.runs(schedule_id, key.id, limit, after, before),
            at,
            ScheduleRunView.of,
        )

    return listed(await door.threads.run(read), at)


def _view(door: Door, schedule: Schedule) -> Response:
    runs = door.schedules.runs(schedule.id, schedule.owner, LAST_RUNS)
    view = ScheduleView.of(schedule, door.clock(), runs)
    answer = reply(view)
    answer.headers["ETag"] = version_tag(schedule.version, bytes(answer.body))
    return answer
