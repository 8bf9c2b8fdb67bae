"""Service schedules: pieces of a service that are ordered by the clock; sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from interleaf.service import schedule_calls, schedule_steps
from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.job_steps import GivenBrief, all_pages
from interleaf.service.schedule_steps import GivenSchedule, id_of
from interleaf.service.service_job import AsyncJob, Job
from interleaf.service.service_records import Page, ScheduleLine, ScheduleRecord, ScheduleRunRecord
from interleaf.service.wire import AsyncWire, Wire

__all__ = ["AsyncSchedules", "Schedules"]

Overlap = Literal["skip", "queue", "cancel_running"]


class Schedules:
    """Pieces that are ordered by the clock. A job that one ordered has its id in its metadata, as `schedule`."""

    def __init__(self, wire: Wire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    def create(
        self,
        name: str,
        brief: GivenBrief,
        *,
        cron: str | None = None,
        at: datetime | None = None,
        time_zone: str | None = None,
        variables: Mapping[str, Any] | None = None,
        overlap: Overlap | None = None,
        catch_up_s: int | None = None,
        jitter_s: int | None = None,
        publish_after_s: int | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        base: Path | None = None,
        idempotency_key: str | None = None,
    ) -> ScheduleRecord:
        """Order a piece at the times of `cron` (minute, hour, day of month, month, day of week), or once `at` a time.

        `brief`: as of `jobs.create`, and its texts may hold placeholders: `{{ date }}`, `{{ weekday }}`,
        `{{ number }}` and others of the run, and the names of `variables`, of whose lists each run takes the next
        value. Local files are sent. `overlap`: what becomes of a time while an earlier run is at work; `catch_up_s`:
        how late a run may be before it is missed; `jitter_s`: how much later it may be ordered; `publish_after_s`: when
        its piece is published. InvalidBrief, InvalidRequest name what is wrong, too of the first run's brief.
        """
        said = {
            "name": name,
            "cron": cron,
            "at": at,
            "time_zone": time_zone,
            "variables": variables,
            "overlap": overlap,
            "catch_up_s": catch_up_s,
            "jitter_s": jitter_s,
            "publish_after_s": publish_after_s,
            "starts_at": starts_at,
            "ends_at": ends_at,
        }
        return self._wire.run(schedule_steps.create(self._calls, brief, base, said, idempotency_key))

    def preview(
        self,
        *,
        cron: str | None = None,
        at: datetime | None = None,
        time_zone: str | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        count: int | None = None,
    ) -> tuple[datetime, ...]:
        """The next times (five if not said) at which a schedule would be due, before it is made."""
        said = {
            "cron": cron,
            "at": at,
            "time_zone": time_zone,
            "starts_at": starts_at,
            "ends_at": ends_at,
            "count": count,
        }
        call = schedule_calls.preview_schedule({name: value for name, value in said.items() if value is not None})
        return self._wire.run(ask(call, self._retrying)).times

    def get(self, schedule: GivenSchedule) -> ScheduleRecord:
        """It as it is now, with its next times and its last runs. ObjectUnknown."""
        return self._wire.run(ask(schedule_calls.get_schedule(id_of(schedule)), self._retrying))

    def list(self, *, limit: int | None = None, after: str | None = None) -> Page[ScheduleLine]:
        """One page, newest first."""
        return self._wire.run(ask(schedule_calls.list_schedules(limit=limit, after=after), self._retrying))

    def update(self, schedule: GivenSchedule, *, base: Path | None = None, **changes: Any) -> ScheduleRecord:
        """Replace fields, by the names that `create` gives them; None takes away what may be left out. VersionStale
        when somebody has changed the schedule since it was read; of an id alone it is changed as it is now."""
        return self._wire.run(schedule_steps.change(self._calls, schedule, base, changes))

    def pause(self, schedule: GivenSchedule) -> ScheduleRecord:
        """Order nothing until it is resumed."""
        return self._wire.run(ask(schedule_calls.pause_schedule(id_of(schedule)), self._retrying))

    def resume(self, schedule: GivenSchedule) -> ScheduleRecord:
        """Go on with the next time; those that passed meanwhile are not caught up."""
        return self._wire.run(ask(schedule_calls.resume_schedule(id_of(schedule)), self._retrying))

    def trigger(self, schedule: GivenSchedule, *, wait_s: int = 0, idempotency_key: str | None = None) -> Job:
        """A run now, whatever the timetable says. `wait_s` (up to 60): give it that long to end."""
        call = schedule_calls.trigger_schedule(id_of(schedule), wait_s=wait_s, idempotency_key=idempotency_key)
        return Job(self._wire, self._calls, self._wire.run(ask(call, self._retrying)))

    def delete(self, schedule: GivenSchedule) -> None:
        """With its history; jobs that it ordered go on."""
        self._wire.run(ask(schedule_calls.delete_schedule(id_of(schedule)), self._retrying))

    def runs(
        self,
        schedule: GivenSchedule,
        *,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
    ) -> Page[ScheduleRunRecord]:
        """One page of what became of its times, the latest first."""
        call = schedule_calls.list_schedule_runs(id_of(schedule), limit=limit, after=after, before=before)
        return self._wire.run(ask(call, self._retrying))

    def each_run(self, schedule: GivenSchedule) -> Iterator[ScheduleRunRecord]:
        """All of them, page after page."""

        def page(after: str | None) -> Any:
            return schedule_calls.list_schedule_runs(id_of(schedule), after=after)

        yield from self._wire.each(all_pages(self._calls, page))


class AsyncSchedules:
    """Pieces that are ordered by the clock. A job that one ordered has its id in its metadata, as `schedule`."""

    def __init__(self, wire: AsyncWire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    async def create(
        self,
        name: str,
        brief: GivenBrief,
        *,
        cron: str | None = None,
        at: datetime | None = None,
        time_zone: str | None = None,
        variables: Mapping[str, Any] | None = None,
        overlap: Overlap | None = None,
        catch_up_s: int | None = None,
        jitter_s: int | None = None,
        publish_after_s: int | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        base: Path | None = None,
        idempotency_key: str | None = None,
    ) -> ScheduleRecord:
        """Order a piece at the times of `cron` (minute, hour, day of month, month, day of week), or once `at` a time.

        `brief`: as of `jobs.create`, and its texts may hold placeholders: `{{ date }}`, `{{ weekday }}`,
        `{{ number }}` and others of the run, and the names of `variables`, of whose lists each run takes the next
        value. Local files are sent. `overlap`: what becomes of a time while an earlier run is at work; `catch_up_s`:
        how late a run may be before it is missed; `jitter_s`: how much later it may be ordered; `publish_after_s`: when
        its piece is published. InvalidBrief, InvalidRequest name what is wrong, too of the first run's brief.
        """
        said = {
            "name": name,
            "cron": cron,
            "at": at,
            "time_zone": time_zone,
            "variables": variables,
            "overlap": overlap,
            "catch_up_s": catch_up_s,
            "jitter_s": jitter_s,
            "publish_after_s": publish_after_s,
            "starts_at": starts_at,
            "ends_at": ends_at,
        }
        return await self._wire.run(schedule_steps.create(self._calls, brief, base, said, idempotency_key))

    async def preview(
        self,
        *,
        cron: str | None = None,
        at: datetime | None = None,
        time_zone: str | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        count: int | None = None,
    ) -> tuple[datetime, ...]:
        """The next times (five if not said) at which a schedule would be due, before it is made."""
        said = {
            "cron": cron,
            "at": at,
            "time_zone": time_zone,
            "starts_at": starts_at,
            "ends_at": ends_at,
            "count": count,
        }
        call = schedule_calls.preview_schedule({name: value for name, value in said.items() if value is not None})
        return (await self._wire.run(ask(call, self._retrying))).times

    async def get(self, schedule: GivenSchedule) -> ScheduleRecord:
        """It as it is now, with its next times and its last runs. ObjectUnknown."""
        return await self._wire.run(ask(schedule_calls.get_schedule(id_of(schedule)), self._retrying))

    async def list(self, *, limit: int | None = None, after: str | None = None) -> Page[ScheduleLine]:
        """One page, newest first."""
        return await self._wire.run(ask(schedule_calls.list_schedules(limit=limit, after=after), self._retrying))

    async def update(self, schedule: GivenSchedule, *, base: Path | None = None, **changes: Any) -> ScheduleRecord:
        """Replace fields, by the names that `create` gives them; None takes away what may be left out. VersionStale
        when somebody has changed the schedule since it was read; of an id alone it is changed as it is now."""
        return await self._wire.run(schedule_steps.change(self._calls, schedule, base, changes))

    async def pause(self, schedule: GivenSchedule) -> ScheduleRecord:
        """Order nothing until it is resumed."""
        return await self._wire.run(ask(schedule_calls.pause_schedule(id_of(schedule)), self._retrying))

    async def resume(self, schedule: GivenSchedule) -> ScheduleRecord:
        """Go on with the next time; those that passed meanwhile are not caught up."""
        return await self._wire.run(ask(schedule_calls.resume_schedule(id_of(schedule)), self._retrying))

    async def trigger(
        self, schedule: GivenSchedule, *, wait_s: int = 0, idempotency_key: str | None = None
    ) -> AsyncJob:
        """A run now, whatever the timetable says. `wait_s` (up to 60): give it that long to end."""
        call = schedule_calls.trigger_schedule(id_of(schedule), wait_s=wait_s, idempotency_key=idempotency_key)
        return AsyncJob(self._wire, self._calls, await self._wire.run(ask(call, self._retrying)))

    async def delete(self, schedule: GivenSchedule) -> None:
        """With its history; jobs that it ordered go on."""
        await self._wire.run(ask(schedule_calls.delete_schedule(id_of(schedule)), self._retrying))

    async def runs(
        self,
        schedule: GivenSchedule,
        *,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
    ) -> Page[ScheduleRunRecord]:
        """One page of what became of its times, the latest first."""
        call = schedule_calls.list_schedule_runs(id_of(schedule), limit=limit, after=after, before=before)
        return await self._wire.run(ask(call, self._retrying))

    async def each_run(self, schedule: GivenSchedule) -> AsyncIterator[ScheduleRunRecord]:
        """All of them, page after page."""

        def page(after: str | None) -> Any:
            return schedule_calls.list_schedule_runs(id_of(schedule), after=after)

        async for record in self._wire.each(all_pages(self._calls, page)):
            yield record
