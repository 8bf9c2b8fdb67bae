"""Async client: the service spoken to from an event loop. What each method does is written once, in steps; this file
and client.py only drive them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interleaf.service import job_steps, usage_steps
from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.download import MemoryTarget, PartFile, download
from interleaf.service.job_steps import GivenBrief, all_pages
from interleaf.service.retrying import Retrying
from interleaf.service.service_address import ServiceAddress
from interleaf.service.service_batches import AsyncBatches
from interleaf.service.service_documents import AsyncDocuments
from interleaf.service.service_job import AsyncJob
from interleaf.service.service_libraries import AsyncLibraries
from interleaf.service.service_records import (
    ApiKeyRecord,
    ArtifactRecord,
    Document,
    EstimateRecord,
    JobRecord,
    JobState,
    NewApiKey,
    Page,
    UploadRecord,
)
from interleaf.service.service_schedules import AsyncSchedules
from interleaf.service.service_webhooks import AsyncWebhookDeliveries, AsyncWebhooks
from interleaf.service.steps import SentFile
from interleaf.service.usage_records import UsageRecord
from interleaf.service.wire import AsyncWire

if TYPE_CHECKING:
    import httpx

__all__ = ["AsyncClient"]


class AsyncClient:
    """The service at an address, with a key.

    async with AsyncClient("http://127.0.0.1:8000", key) as client:
        document = await client.compose("brief.yaml")
        await client.artifacts.download(document.artifact("html"), "out.html")

    `server` and `key` default to INTERLEAF_SERVER and INTERLEAF_API_KEY (SettingInvalid when there is none).
    `timeout_s`: how long one request may make no headway. `transport`: another one of httpx's, for proxies of one's own
    and for tests. Errors are those of `interleaf.errors`, by their code as in process, with `request_id`; no
    connection is ServiceAway. What creates has an Idempotency-Key, so that sending it again (429, 503, a lost
    connection; see Retrying) never does it twice.
    """

    def __init__(
        self,
        server: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retrying: Retrying | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._calls = Calls(retrying or Retrying())
        self._wire = AsyncWire(ServiceAddress.found(server, key), timeout_s, transport)
        self.jobs = AsyncJobs(self._wire, self._calls)
        self.documents = AsyncDocuments(self._wire, self._calls)
        self.artifacts = AsyncArtifacts(self._wire, self._calls)
        self.uploads = AsyncUploads(self._wire, self._calls)
        self.libraries = AsyncLibraries(self._wire, self._calls)
        self.schedules = AsyncSchedules(self._wire, self._calls)
        self.batches = AsyncBatches(self._wire, self._calls)
        self.webhooks = AsyncWebhooks(self._wire, self._calls)
        self.webhook_deliveries = AsyncWebhookDeliveries(self._wire, self._calls)
        self.keys = AsyncKeys(self._wire, self._calls)

    async def compose(
        self,
        brief: GivenBrief,
        *,
        base: Path | None = None,
        timeout_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
        external_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Document:
        """Order a piece, wait for it, and return it. Files that the brief names by path are sent along; relative paths
        start from `base` (else from the brief's file, or the current folder).

        NeedsInput (its `run_id` is the job's id) when the brief asks for approvals: answer with
        `client.jobs.get(id).respond(…)`. JobActive when `timeout_s` is over; the job goes on. Otherwise what composing
        in this process raises.
        """
        steps = job_steps.compose(
            self._calls,
            brief,
            base,
            timeout_s,
            metadata=metadata,
            external_id=external_id,
            idempotency_key=idempotency_key,
        )
        return await self._wire.run(steps)

    async def estimate(self, brief: GivenBrief, *, base: Path | None = None) -> EstimateRecord:
        """What a piece would take: seconds, tokens, pictures, with how wrong such estimates have been. Nothing is made,
        and files that the brief names by path are measured, not sent."""
        return await self._wire.run(job_steps.estimate(self._calls, brief, base))

    async def usage(
        self, *, since: date | None = None, until: date | None = None, key_id: str | None = None
    ) -> UsageRecord:
        """What this key has used from one day to another (UTC; the last 30 days if nothing is said), and what its
        quotas leave of today. `key_id`: another key, for an admin."""
        return await self._wire.run(usage_steps.usage(self._calls, since, until, key_id))

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncClient {self._wire.address.url}>"


class _Part:
    def __init__(self, wire: AsyncWire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying


class AsyncJobs(_Part):
    """Orders."""

    async def create(
        self,
        brief: GivenBrief,
        *,
        base: Path | None = None,
        metadata: Mapping[str, str] | None = None,
        external_id: str | None = None,
        start_within_s: int | None = None,
        wait_s: int = 0,
        idempotency_key: str | None = None,
    ) -> AsyncJob:
        """Order a piece; local files are sent as by `compose`. `wait_s` (up to 60): give it that long to end. A job
        that has not begun after `start_within_s` expires. `metadata` and `external_id`: the caller's names for it."""
        steps = job_steps.create(
            self._calls,
            brief,
            base,
            metadata=metadata,
            external_id=external_id,
            start_within_s=start_within_s,
            wait_s=wait_s,
            idempotency_key=idempotency_key,
        )
        return AsyncJob(self._wire, self._calls, await self._wire.run(steps))

    async def get(self, job_id: str) -> AsyncJob:
        """The job with that id. JobUnknown."""
        return AsyncJob(self._wire, self._calls, await self._wire.run(ask(self._calls.get_job(job_id), self._retrying)))

    async def list(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
        states: Sequence[JobState] = (),
        kinds: Sequence[str] = (),
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        external_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[JobRecord]:
        """One page of jobs, newest first. The dates need a time zone."""
        call = self._calls.list_jobs(
            limit=limit,
            after=after,
            before=before,
            states=states,
            kinds=kinds,
            created_from=created_from,
            created_before=created_before,
            external_id=external_id,
            metadata=metadata,
        )
        return await self._wire.run(ask(call, self._retrying))

    async def each(self, **filters: Any) -> AsyncIterator[AsyncJob]:
        """Every job that `list` with these filters would show, page after page."""

        def page(after: str | None) -> Any:
            return self._calls.list_jobs(**(filters | {"after": after or filters.get("after")}))

        async for record in self._wire.each(all_pages(self._calls, page)):
            yield AsyncJob(self._wire, self._calls, record)

    async def cancel(self, job_id: str) -> AsyncJob:
        """See `AsyncJob.cancel`."""
        return AsyncJob(
            self._wire, self._calls, await self._wire.run(ask(self._calls.cancel_job(job_id), self._retrying))
        )

    async def retry(self, job_id: str, *, idempotency_key: str | None = None) -> AsyncJob:
        """See `AsyncJob.retry`."""
        call = self._calls.retry_job(job_id, idempotency_key=idempotency_key)
        return AsyncJob(self._wire, self._calls, await self._wire.run(ask(call, self._retrying)))

    async def rerun(
        self, job_id: str, overrides: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> AsyncJob:
        """See `AsyncJob.rerun`."""
        call = self._calls.rerun_job(job_id, overrides, idempotency_key=idempotency_key)
        return AsyncJob(self._wire, self._calls, await self._wire.run(ask(call, self._retrying)))

    async def delete(self, job_id: str) -> None:
        """See `AsyncJob.delete`."""
        await self._wire.run(ask(self._calls.delete_job(job_id), self._retrying))


class AsyncArtifacts(_Part):
    """Files that jobs made. Their bytes are held against the hash that the service tells."""

    async def download(self, artifact: ArtifactRecord | str, path: str | Path) -> Path:
        """Write the file (a record, or its id) to `path`, whole or not at all; goes on by itself where a connection
        breaks. ServiceError when the bytes are not those that the service says; OutputUnwritable."""
        artifact_id, sha256 = _named(artifact)
        target = Path(path)
        await self._wire.run(download(self._calls, artifact_id, PartFile(target), sha256))
        return target

    async def read(self, artifact: ArtifactRecord | str) -> bytes:
        """The file's bytes, in memory."""
        artifact_id, sha256 = _named(artifact)
        target = MemoryTarget()
        await self._wire.run(download(self._calls, artifact_id, target, sha256))
        return bytes(target.content)


class AsyncUploads(_Part):
    """Files that were sent. A brief names one by its `reference`."""

    async def create(
        self, content: str | Path | bytes, name: str | None = None, *, idempotency_key: str | None = None
    ) -> UploadRecord:
        """Send a file: a path, or bytes with a name. MediaUnsupported when no brief can use it; FileOverLimit."""
        if isinstance(content, bytes):
            file = SentFile(name or "file", content)
        else:
            file = SentFile(name or Path(content).name, Path(content))
        return await self._wire.run(
            ask(self._calls.create_upload(file, idempotency_key=idempotency_key), self._retrying)
        )

    async def get(self, upload_id: str) -> UploadRecord:
        """What is known of it. ObjectUnknown."""
        return await self._wire.run(ask(self._calls.get_upload(upload_id), self._retrying))

    async def list(self, *, limit: int | None = None, after: str | None = None) -> Page[UploadRecord]:
        """One page of those that have not expired, newest first."""
        return await self._wire.run(ask(self._calls.list_uploads(limit=limit, after=after), self._retrying))

    async def delete(self, upload_id: str) -> None:
        """Remove it. A job that has not read it yet will fail."""
        await self._wire.run(ask(self._calls.delete_upload(upload_id), self._retrying))


class AsyncKeys(_Part):
    """Keys of the service; for a key with the scope admin."""

    async def create(
        self,
        name: str,
        scopes: Iterable[str],
        *,
        max_active_jobs: int | None = None,
        max_stored_bytes: int | None = None,
        requests_per_minute: int | None = None,
        max_jobs_per_day: int | None = None,
        max_seconds_per_day: int | None = None,
        max_tokens_per_day: int | None = None,
    ) -> NewApiKey:
        """Make a key. It is never made twice: when the answer is lost, ServiceAway says to look whether it is there."""
        call = self._calls.create_key(
            name,
            scopes,
            max_active_jobs=max_active_jobs,
            max_stored_bytes=max_stored_bytes,
            requests_per_minute=requests_per_minute,
            max_jobs_per_day=max_jobs_per_day,
            max_seconds_per_day=max_seconds_per_day,
            max_tokens_per_day=max_tokens_per_day,
        )
        return await self._wire.run(ask(call, self._retrying))

    async def list(self, *, limit: int | None = None, after: str | None = None) -> Page[ApiKeyRecord]:
        """One page, newest first, revoked ones too."""
        return await self._wire.run(ask(self._calls.list_keys(limit=limit, after=after), self._retrying))

    async def update(self, key_id: str, **changes: Any) -> ApiKeyRecord:
        """Change the name or quotas of a key, by the names that `create` gives them; None takes a quota away. What the
        key has used stays. ObjectUnknown; RequestRefused names the field that is wrong."""
        return await self._wire.run(ask(self._calls.change_key(key_id, changes), self._retrying))

    async def revoke(self, key_id: str) -> ApiKeyRecord:
        """At once and for ever."""
        return await self._wire.run(ask(self._calls.revoke_key(key_id), self._retrying))


def _named(artifact: ArtifactRecord | str) -> tuple[str, str | None]:
    return (artifact, None) if isinstance(artifact, str) else (artifact.id, artifact.sha256)
