"""Service job: a job of the service at hand: looked at, waited for, followed, answered, stopped; sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Literal

from interleaf.schema import Brief, Outline
from interleaf.service import job_steps
from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.following import follow
from interleaf.service.job_steps import Until
from interleaf.service.service_records import Document, JobEvent, JobProgress, JobRecord, JobResult, JobState, Question
from interleaf.service.wire import AsyncWire, Wire

__all__ = ["AsyncJob", "Job"]

Action = Literal["approve", "edit", "cancel"]


class _Known:
    """What was last told of the job: `record`; every method that hears of it renews it."""

    def __init__(self, calls: Calls, record: JobRecord) -> None:
        self._calls = calls
        self.record = record

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def state(self) -> JobState:
        return self.record.state

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.record.final

    @property
    def progress(self) -> JobProgress:
        return self.record.progress

    @property
    def result(self) -> JobResult | None:
        return self.record.result

    def raise_for_state(self) -> None:
        """Raise why it came to nothing, as composing in this process would; RunCanceled for a canceled one."""
        job_steps.raise_for(self.record)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}: {self.state}>"


class Job(_Known):
    """A job that is spoken to with blocking calls."""

    def __init__(self, wire: Wire, calls: Calls, record: JobRecord) -> None:
        super().__init__(calls, record)
        self._wire = wire

    def refresh(self) -> Job:
        """Look at it anew."""
        self.record = self._wire.run(ask(self._calls.get_job(self.id), self._calls.retrying))
        return self

    def wait(self, timeout_s: float | None = None, until: Until = "ended") -> Job:
        """Wait until it has ended, however; with `until="asked"` also until it asks a person (state awaiting_input).
        JobActive when that takes longer than `timeout_s`; the job goes on."""
        self.record = self._wire.run(job_steps.wait(self._calls, self.id, timeout_s, until))
        return self

    def events(self, after: int = 0) -> Iterator[JobEvent]:
        """`for event in job.events()`: everything that it told after event `after`, and what it tells from now on,
        each event once and in order, until it has ended. Comes back by itself when the connection breaks. An event
        `gap` says that earlier ones are no longer kept. Leaving the loop does not touch the job."""
        return self._wire.each(follow(self._calls, self.id, after))

    def brief(self) -> Brief:
        """What it was asked, with every default."""
        return self._wire.run(ask(self._calls.get_job_brief(self.id), self._calls.retrying))

    def question(self) -> Question:
        """What it asks. ObjectUnknown while it asks nothing."""
        return self._wire.run(ask(self._calls.get_job_input(self.id), self._calls.retrying))

    def respond(
        self,
        action: Action = "approve",
        *,
        outline: Outline | Mapping[str, Any] | None = None,
        pictures: Mapping[str, str | None] | None = None,
        request_id: str | None = None,
    ) -> Job:
        """Answer what it asks: approve, edit (with the outline to use, or place → picture id or None), or cancel.

        `request_id`: of the question that is answered, else the one that is open now. RequestStale when it is no longer
        asked; InvalidBrief and InvalidRequest when the answer does not fit: the job goes on waiting.
        """
        steps = job_steps.answer(self._calls, self.id, action, outline, pictures, request_id)
        self.record = self._wire.run(steps)
        return self

    def cancel(self) -> Job:
        """Stop it: at once while nobody works on it, else soon (state canceling). JobFinal when it has ended."""
        self.record = self._wire.run(ask(self._calls.cancel_job(self.id), self._calls.retrying))
        return self

    def retry(self, *, idempotency_key: str | None = None) -> Job:
        """A new job that goes on where this one stopped."""
        call = self._calls.retry_job(self.id, idempotency_key=idempotency_key)
        return Job(self._wire, self._calls, self._wire.run(ask(call, self._calls.retrying)))

    def rerun(self, overrides: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None) -> Job:
        """A new job from the beginning, with the same brief but for `overrides` of its fields. When it has ended,
        `result.rerun` says what was not as it was. InputGone when an upload or a library of the brief is gone."""
        call = self._calls.rerun_job(self.id, overrides, idempotency_key=idempotency_key)
        return Job(self._wire, self._calls, self._wire.run(ask(call, self._calls.retrying)))

    def delete(self) -> None:
        """Remove it with its brief, events and files; its document stays. JobActive before its end."""
        self._wire.run(ask(self._calls.delete_job(self.id), self._calls.retrying))

    def document(self) -> Document:
        """The piece, when the job has ended. Raises why there is none; JobActive before its end."""
        return self._wire.run(job_steps.document_of(self._calls, self.record))


class AsyncJob(_Known):
    """A job that is spoken to from an event loop."""

    def __init__(self, wire: AsyncWire, calls: Calls, record: JobRecord) -> None:
        super().__init__(calls, record)
        self._wire = wire

    async def refresh(self) -> AsyncJob:
        """Look at it anew."""
        self.record = await self._wire.run(ask(self._calls.get_job(self.id), self._calls.retrying))
        return self

    async def wait(self, timeout_s: float | None = None, until: Until = "ended") -> AsyncJob:
        """Wait until it has ended, however; with `until="asked"` also until it asks a person (state awaiting_input).
        JobActive when that takes longer than `timeout_s`; the job goes on."""
        self.record = await self._wire.run(job_steps.wait(self._calls, self.id, timeout_s, until))
        return self

    def events(self, after: int = 0) -> AsyncIterator[JobEvent]:
        """`async for event in job.events()`: everything that it told after event `after`, and what it tells from now
        on, each event once and in order, until it has ended. Comes back by itself when the connection breaks. An event
        `gap` says that earlier ones are no longer kept. Leaving the loop does not touch the job."""
        return self._wire.each(follow(self._calls, self.id, after))

    async def brief(self) -> Brief:
        """What it was asked, with every default."""
        return await self._wire.run(ask(self._calls.get_job_brief(self.id), self._calls.retrying))

    async def question(self) -> Question:
        """What it asks. ObjectUnknown while it asks nothing."""
        return await self._wire.run(ask(self._calls.get_job_input(self.id), self._calls.retrying))

    async def respond(
        self,
        action: Action = "approve",
        *,
        outline: Outline | Mapping[str, Any] | None = None,
        pictures: Mapping[str, str | None] | None = None,
        request_id: str | None = None,
    ) -> AsyncJob:
        """Answer what it asks: approve, edit (with the outline to use, or place → picture id or None), or cancel.

        `request_id`: of the question that is answered, else the one that is open now. RequestStale when it is no longer
        asked; InvalidBrief and InvalidRequest when the answer does not fit: the job goes on waiting.
        """
        steps = job_steps.answer(self._calls, self.id, action, outline, pictures, request_id)
        self.record = await self._wire.run(steps)
        return self

    async def cancel(self) -> AsyncJob:
        """Stop it: at once while nobody works on it, else soon (state canceling). JobFinal when it has ended."""
        self.record = await self._wire.run(ask(self._calls.cancel_job(self.id), self._calls.retrying))
        return self

    async def retry(self, *, idempotency_key: str | None = None) -> AsyncJob:
        """A new job that goes on where this one stopped."""
        call = self._calls.retry_job(self.id, idempotency_key=idempotency_key)
        return AsyncJob(self._wire, self._calls, await self._wire.run(ask(call, self._calls.retrying)))

    async def rerun(
        self, overrides: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> AsyncJob:
        """A new job from the beginning, with the same brief but for `overrides` of its fields. When it has ended,
        `result.rerun` says what was not as it was. InputGone when an upload or a library of the brief is gone."""
        call = self._calls.rerun_job(self.id, overrides, idempotency_key=idempotency_key)
        return AsyncJob(self._wire, self._calls, await self._wire.run(ask(call, self._calls.retrying)))

    async def delete(self) -> None:
        """Remove it with its brief, events and files; its document stays. JobActive before its end."""
        await self._wire.run(ask(self._calls.delete_job(self.id), self._calls.retrying))

    async def document(self) -> Document:
        """The piece, when the job has ended. Raises why there is none; JobActive before its end."""
        return await self._wire.run(job_steps.document_of(self._calls, self.record))
