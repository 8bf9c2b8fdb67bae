"""Calls: every operation of the service as a value: what is sent, and how the answer is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError

from interleaf.errors import InterleafError, InvalidRequest, JobFinal, JobUnknown, ObjectUnknown, RequestStale
from interleaf.schema import Brief, Outline
from interleaf.service.call import Call, Settled, ask, reads
from interleaf.service.retrying import Retrying
from interleaf.service.service_records import (
    ApiKeyRecord,
    Document,
    DocumentLine,
    EstimateRecord,
    EventList,
    JobRecord,
    JobState,
    NewApiKey,
    Page,
    Question,
    UploadRecord,
)
from interleaf.service.steps import Answer, Sending, SentFile, Steps
from interleaf.service.usage_records import UsageRecord

__all__ = ["WAIT_MARGIN_S", "Calls", "as_json", "metadata_pairs", "nothing", "object_path", "pairs"]

Pairs = tuple[tuple[str, str], ...]
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
# A wait of the service is answered some time after its end.
WAIT_MARGIN_S: Final = 5.0


class Calls:
    """Makes them; nothing is sent here. `retrying` is for what must be looked up after an answer was lost."""

    def __init__(self, retrying: Retrying) -> None:
        self.retrying = retrying

    def create_job(
        self,
        brief: Brief,
        *,
        metadata: Mapping[str, str] | None = None,
        external_id: str | None = None,
        start_within_s: int | None = None,
        wait_s: int = 0,
        idempotency_key: str | None = None,
    ) -> Call[JobRecord]:
        # What the brief leaves to its defaults is left to the service's.
        body = brief.model_dump_json(exclude_defaults=True).encode()
        query = pairs(external_id=external_id, start_within_s=start_within_s) + metadata_pairs(metadata)
        headers, wait = ({"Prefer": f"wait={wait_s}"}, wait_s + WAIT_MARGIN_S) if wait_s else ({}, 0.0)
        sending = Sending("POST", "/v1/jobs", query, headers, body, wait_s=wait)
        return Call(sending, reads(JobRecord), "named", idempotency_key)

    def estimate_job(self, brief: Brief, source_bytes: int, pictures: int) -> Call[EstimateRecord]:
        query = pairs(source_bytes=source_bytes or None, pictures=pictures or None)
        body = brief.model_dump_json(exclude_defaults=True).encode()
        return Call(Sending("POST", "/v1/jobs:estimate", query, body=body), reads(EstimateRecord))

    def list_jobs(
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
    ) -> Call[Page[JobRecord]]:
        query = pairs(
            limit=limit,
            after=after,
            before=before,
            created_from=None if created_from is None else created_from.isoformat(),
            created_before=None if created_before is None else created_before.isoformat(),
            external_id=external_id,
        )
        query += tuple(("state", state) for state in states) + tuple(("kind", kind) for kind in kinds)
        return Call(Sending("GET", "/v1/jobs", query + metadata_pairs(metadata)), reads(Page[JobRecord]))

    def get_job(self, job_id: str) -> Call[JobRecord]:
        return Call(Sending("GET", _job(job_id)), reads(JobRecord))

    def get_job_brief(self, job_id: str) -> Call[Brief]:
        return Call(Sending("GET", _job(job_id, "/brief")), reads(Brief))

    def cancel_job(self, job_id: str) -> Call[JobRecord]:
        def settle(error: InterleafError) -> Steps[Settled[JobRecord] | None]:
            if not isinstance(error, JobFinal):
                return None
            job = yield from ask(self.get_job(job_id), self.retrying)
            return Settled(job) if job.state == "canceled" else None

        return Call(Sending("POST", _job(job_id, "/cancel")), reads(JobRecord), settle=settle)

    def retry_job(self, job_id: str, *, idempotency_key: str | None = None) -> Call[JobRecord]:
        return Call(Sending("POST", _job(job_id, "/retry")), reads(JobRecord), "named", idempotency_key)

    def rerun_job(
        self, job_id: str, overrides: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> Call[JobRecord]:
        body = None if overrides is None else as_json("overrides", dict(overrides))
        sending = Sending("POST", _job(job_id, "/rerun"), body=body)
        return Call(sending, reads(JobRecord), "named", idempotency_key)

    def delete_job(self, job_id: str) -> Call[None]:
        return Call(Sending("DELETE", _job(job_id)), nothing, settle=_gone)

    def get_job_input(self, job_id: str) -> Call[Question]:
        return Call(Sending("GET", _job(job_id, "/input")), reads(Question))

    def answer_job(
        self,
        job_id: str,
        request_id: str,
        action: str,
        outline: Outline | Mapping[str, Any] | None = None,
        pictures: Mapping[str, str | None] | None = None,
    ) -> Call[JobRecord]:
        said: dict[str, Any] = {"request_id": request_id, "action": action}
        if outline is not None:
            said["outline"] = outline.model_dump(mode="json") if isinstance(outline, BaseModel) else dict(outline)
        if pictures is not None:
            said["pictures"] = dict(pictures)

        def settle(error: InterleafError) -> Steps[Settled[JobRecord] | None]:
            """An answer that was taken in leaves its mark among the events."""
            if not isinstance(error, RequestStale | JobFinal):
                return None
            after = 0
            while True:
                events = yield from ask(self.list_job_events(job_id, after, 1_000), self.retrying)
                for event in events.data:
                    data = event.data
                    if (event.name, data.get("request_id"), data.get("decision")) == (
                        "job.answered",
                        request_id,
                        action,
                    ):
                        return Settled((yield from ask(self.get_job(job_id), self.retrying)))
                if not events.data or events.data[-1].id >= events.last_id:
                    break
                after = events.data[-1].id
            job = yield from ask(self.get_job(job_id), self.retrying)
            return Settled(job) if action == "cancel" and job.state == "canceled" else None

        sending = Sending("POST", _job(job_id, "/input"), body=as_json("answer", said))
        return Call(sending, reads(JobRecord), settle=settle)

    def list_job_events(self, job_id: str, after: int = 0, limit: int = 100) -> Call[EventList]:
        query = pairs(after=after, limit=limit)
        return Call(Sending("GET", _job(job_id, "/events"), query), reads(EventList))

    def stream_job_events(self, job_id: str, after: int, idle_s: float) -> Sending:
        """For `Listen`; `idle_s`: how long nothing may come, not even a heartbeat."""
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        if after:
            headers["Last-Event-ID"] = str(after)
        return Sending("GET", _job(job_id, "/events"), headers=headers, wait_s=idle_s)

    def list_documents(self, *, limit: int | None = None, after: str | None = None) -> Call[Page[DocumentLine]]:
        sending = Sending("GET", "/v1/documents", pairs(limit=limit, after=after))
        return Call(sending, reads(Page[DocumentLine]))

    def get_document(self, document_id: str, version: int | None = None) -> Call[Document]:
        sending = Sending("GET", object_path("/v1/documents/", document_id), pairs(version=version))
        return Call(sending, reads(Document))

    def get_artifact(self, artifact_id: str, start: int = 0, etag: str = "") -> Sending:
        """For `Listen`: the file from a byte on, as long as it is still the one with that ETag."""
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": etag}
        return Sending("GET", object_path("/v1/artifacts/", artifact_id), headers=headers)

    def create_upload(self, file: SentFile, *, idempotency_key: str | None = None) -> Call[UploadRecord]:
        return Call(Sending("POST", "/v1/uploads", file=file), reads(UploadRecord), "named", idempotency_key)

    def list_uploads(self, *, limit: int | None = None, after: str | None = None) -> Call[Page[UploadRecord]]:
        sending = Sending("GET", "/v1/uploads", pairs(limit=limit, after=after))
        return Call(sending, reads(Page[UploadRecord]))

    def get_upload(self, upload_id: str) -> Call[UploadRecord]:
        return Call(Sending("GET", object_path("/v1/uploads/", upload_id)), reads(UploadRecord))

    def delete_upload(self, upload_id: str) -> Call[None]:
        return Call(Sending("DELETE", object_path("/v1/uploads/", upload_id)), nothing, settle=_gone)

    def create_key(
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
    ) -> Call[NewApiKey]:
        quotas = {
            "max_active_jobs": max_active_jobs,
            "max_stored_bytes": max_stored_bytes,
            "requests_per_minute": requests_per_minute,
            "max_jobs_per_day": max_jobs_per_day,
            "max_seconds_per_day": max_seconds_per_day,
            "max_tokens_per_day": max_tokens_per_day,
        }
        said = {"name": name, "scopes": list(scopes)} | {k: v for k, v in quotas.items() if v is not None}
        # The service keeps no answer that holds a secret, so this one must not be sent twice.
        return Call(Sending("POST", "/v1/keys", body=as_json("key", said)), reads(NewApiKey), "twice")

    def list_keys(self, *, limit: int | None = None, after: str | None = None) -> Call[Page[ApiKeyRecord]]:
        sending = Sending("GET", "/v1/keys", pairs(limit=limit, after=after))
        return Call(sending, reads(Page[ApiKeyRecord]))

    def change_key(self, key_id: str, changes: Mapping[str, Any]) -> Call[ApiKeyRecord]:
        sending = Sending("PATCH", object_path("/v1/keys/", key_id), body=as_json("key", dict(changes)))
        return Call(sending, reads(ApiKeyRecord))

    def revoke_key(self, key_id: str) -> Call[ApiKeyRecord]:
        return Call(Sending("DELETE", object_path("/v1/keys/", key_id)), reads(ApiKeyRecord))

    def get_usage(
        self,
        *,
        since: date | None = None,
        until: date | None = None,
        key_id: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Call[UsageRecord]:
        query = pairs(**{"from": since, "to": until}, key_id=key_id, limit=limit, after=after)
        return Call(Sending("GET", "/v1/usage", query), reads(UsageRecord))


def nothing(answer: Answer) -> None:
    return None


def _gone(error: InterleafError) -> Steps[Settled[None] | None]:
    """That it is not there is what was asked for."""
    yield from ()
    return Settled(None) if isinstance(error, JobUnknown | ObjectUnknown) else None


def pairs(**values: object) -> Pairs:
    return tuple((name, str(value)) for name, value in values.items() if value is not None)


def metadata_pairs(metadata: Mapping[str, str] | None) -> Pairs:
    return tuple(("metadata", f"{name}:{value}") for name, value in (metadata or {}).items())


def _job(job_id: str, rest: str = "") -> str:
    if not _ID.fullmatch(job_id):
        raise JobUnknown(job_id, "is no id of a job.", "Ids begin with job_.")
    return f"/v1/jobs/{job_id}{rest}"


def object_path(place: str, object_id: str) -> str:
    if not _ID.fullmatch(object_id):
        raise ObjectUnknown(object_id, "is no id of this service.")
    return place + object_id


def as_json(what: str, value: Any) -> bytes:
    try:
        return json.dumps(TypeAdapter(Any).dump_python(value, mode="json"), allow_nan=False).encode()
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidRequest(what, f"cannot be written as JSON ({error}).", "Give JSON-simple values.") from error
