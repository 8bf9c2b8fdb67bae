"""The client against the published description: every operation has a method, says only what the operation takes, and
reads what it answers."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from interleaf import AsyncClient, Client
from interleaf.errors import InterleafError
from interleaf.service import batch_records, service_records, usage_records
from interleaf.service.retrying import Retrying
from tests.api.service import Service

NO_METHOD = {
    "getHealth": "asked by supervisors and load balancers, not by people's programs",
    "getReadiness": "the same",
    "getMetrics": "read by Prometheus, in its own format",
    "getProblemKind": "a page for people who look a code up",
}
RECORDS = {
    "JobView": "JobRecord",
    "JobProgress": "JobProgress",
    "JobUse": "JobUse",
    "JobAsks": "JobAsks",
    "JobResult": "JobResult",
    "JobRun": "JobRun",
    "JobRerun": "JobRerun",
    "RerunOverride": "RerunOverride",
    "RerunNotice": "RerunNotice",
    "ArtifactView": "ArtifactRecord",
    "EventView": "JobEvent",
    "EventList": "EventList",
    "Question": "Question",
    "DocumentLine": "DocumentLine",
    "DocumentView": "Document",
    "VersionView": "VersionRecord",
    "DiffView": "DiffRecord",
    "ChangeView": "ChangeRecord",
    "FieldView": "FieldRecord",
    "WordsView": "WordsRecord",
    "PlacedPictureView": "PlacedPictureRecord",
    "Alternatives": "Alternatives",
    "EstimateView": "EstimateRecord",
    "SpanView": "SpanRecord",
    "UploadView": "UploadRecord",
    "LibraryView": "LibraryRecord",
    "PictureView": "PictureRecord",
    "HitView": "HitRecord",
    "HitList": "HitList",
    "ScheduleLine": "ScheduleLine",
    "ScheduleView": "ScheduleRecord",
    "ScheduleRunView": "ScheduleRunRecord",
    "TimesView": "TimeList",
    "BatchLine": "BatchLine",
    "BatchView": "BatchRecord",
    "BatchItemView": "BatchItemRecord",
    "WebhookView": "WebhookRecord",
    "NewWebhook": "NewWebhook",
    "SecretView": "WebhookSecret",
    "NewSecret": "NewWebhookSecret",
    "DeliveryLine": "WebhookDeliveryLine",
    "DeliveryView": "WebhookDelivery",
    "AttemptView": "DeliveryAttempt",
    "KeyView": "ApiKeyRecord",
    "NewKey": "NewApiKey",
    "Problem": "Problem",
    "ProblemField": "FieldProblem",
    "ProblemQuota": "QuotaProblem",
    "UseView": "UseRecord",
    "DayView": "DayRecord",
    "QuotaView": "QuotaRecord",
    "TodayView": "TodayRecord",
    "UsageView": "UsageRecord",
    "Page_JobView_": "Page",
}
UPLOAD = "upl_01kaj5v1c8m2n4p6q8r0s2t4v6"
JOB: dict[str, Any] = {
    "id": "job_1",
    "kind": "article",
    "state": "succeeded",
    "attempt": 1,
    "max_attempts": 3,
    "metadata": {},
    "created_at": "2026-01-31T12:00:00Z",
    "queued_at": "2026-01-31T12:00:00Z",
    "progress": {},
    "use": {"seconds": 0, "tokens": 0},
    "last_event_id": 1,
}

SCHEDULE: dict[str, Any] = {
    "id": "sch_1",
    "name": "n",
    "time_zone": "UTC",
    "overlap": "skip",
    "catch_up_s": 60,
    "jitter_s": 0,
    "version": 3,
    "run_count": 0,
    "created_at": "2026-01-31T12:00:00Z",
    "updated_at": "2026-01-31T12:00:00Z",
}


@pytest.fixture
def description(service: Service) -> dict[str, Any]:
    told: dict[str, Any] = service.client().get("/v1/openapi.json").json()
    return told


def every_request() -> list[httpx.Request]:
    """What all methods of the client send; the service answers each with a job, which only some can read."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(200, json=JOB)

    quotas = {"max_active_jobs": 1, "max_stored_bytes": 1, "requests_per_minute": 1, "max_jobs_per_day": 1}
    at = {"limit": 1, "after": "x"}
    sizes = {"min_width_px": 1, "min_height_px": 1}
    ingest = {"author": "a", "licence": "l", "source_url": "s", "dedupe": "exact"}
    once = Retrying(attempts=1, away_s=0)
    client = Client("http://h", "ilk_x", transport=httpx.MockTransport(answer), retrying=once)
    labels: dict[str, Any] = {"metadata": {"a": "b"}, "external_id": "e", "idempotency_key": "i"}
    job = client.jobs.create({"instruction": "x"}, start_within_s=1, wait_s=1, **labels)
    told = service_records.JobRecord.model_validate(JOB).created_at
    document = service_records.DocumentLine(id="doc_1", title="t", version=3, created_at=told)
    dates = {"created_from": told, "created_before": told}
    timetable: dict[str, Any] = {"cron": "* * * * *", "time_zone": "UTC", "starts_at": told, "ends_at": told}
    rules = {"variables": {"a": 1}, "overlap": "skip", "catch_up_s": 60, "jitter_s": 1, "publish_after_s": 1}
    schedule = service_records.ScheduleLine.model_validate(SCHEDULE)
    methods: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        (client.jobs.list, (), {**at, "states": ["queued"], "kinds": ["article"], "metadata": {"a": "b"}, **dates}),
        (client.jobs.list, (), {"before": "x", "external_id": "e"}),
        (client.estimate, ({"instruction": "x", "sources": [__file__]},), {}),
        (client.jobs.get, ("job_1",), {}),
        (client.jobs.cancel, ("job_1",), {}),
        (client.jobs.retry, ("job_1",), {"idempotency_key": "i"}),
        (client.jobs.rerun, ("job_1", {"seed": 1}), {"idempotency_key": "i"}),
        (client.jobs.delete, ("job_1",), {}),
        (job.brief, (), {}),
        (job.question, (), {}),
        (job.respond, ("edit",), {"outline": {"title": "x"}, "pictures": {"p": None}, "request_id": "r"}),
        (lambda: list(job.events(after=3)), (), {}),
        (client.documents.get, ("doc_1", 2), {}),
        (client.documents.list, (), at),
        (client.documents.edit, (document, {"op": "delete", "block_id": "b-1"}), {"writer": "w"}),
        (client.documents.order_edit, (document, {"op": "delete", "block_id": "b-1"}), {"idempotency_key": "i"}),
        (client.documents.undo, (document,), {"idempotency_key": "i"}),
        (client.documents.redo, (document,), {}),
        (client.documents.restore, (document, 1), {}),
        (client.documents.render, ("doc_1",), {}),
        (client.documents.versions, ("doc_1",), {"limit": 1, "after": 3}),
        (client.documents.versions, ("doc_1",), {"before": 3}),
        (client.documents.version, ("doc_1", 1), {}),
        (client.documents.diff, ("doc_1", 1, 2), {}),
        (client.documents.alternatives, ("doc_1", "b-1"), {}),
        (client.documents.search, ("doc_1", "b-1", "t"), {"libraries": ["l"], "k": 1, "licence_policy": "open"}),
        (client.documents.read_picture, ("doc_1", "a"), {}),
        (client.documents.delete, (document,), {}),
        (client.artifacts.read, ("art_1",), {}),
        (client.uploads.create, (b"x", "n"), {"idempotency_key": "i"}),
        (client.uploads.get, ("upl_1",), {}),
        (client.uploads.list, (), at),
        (client.uploads.delete, ("upl_1",), {}),
        (client.libraries.create, ("n", "d"), {"idempotency_key": "i"}),
        (client.libraries.list, (), at),
        (client.libraries.find, ("n",), {}),
        (client.libraries.get, ("lib_1",), {}),
        (client.libraries.delete, ("lib_1",), {}),
        (client.libraries.ingest, ("lib_1", UPLOAD), {**ingest, "start_within_s": 1, "wait_s": 1, **labels}),
        (client.libraries.search, ("lib_1", "t"), {"k": 1, "licence_policy": "open", **sizes}),
        (client.libraries.search, ("lib_1",), {"picture": UPLOAD}),
        (client.libraries.pictures, ("lib_1",), {**at, "licence": ["open"], "id_prefix": "a", **sizes}),
        (client.libraries.pictures, ("lib_1",), {"before": "x"}),
        (client.libraries.picture, ("lib_1", "a"), {}),
        (client.libraries.remove, ("lib_1", "a"), {}),
        (client.libraries.read, ("lib_1", "a"), {}),
        (client.schedules.create, ("n", {"instruction": "x"}), {**timetable, **rules, "idempotency_key": "i"}),
        (client.schedules.preview, (), {**timetable, "count": 1}),
        (client.schedules.list, (), at),
        (client.schedules.get, ("sch_1",), {}),
        (client.schedules.update, (schedule,), {"cron": None, "at": told}),
        (client.schedules.pause, ("sch_1",), {}),
        (client.schedules.resume, (schedule,), {}),
        (client.schedules.trigger, ("sch_1",), {"wait_s": 1, "idempotency_key": "i"}),
        (client.schedules.runs, ("sch_1",), at),
        (client.schedules.runs, ("sch_1",), {"before": "x"}),
        (client.schedules.delete, ("sch_1",), {}),
        (client.batches.create, ({"instruction": "x"}, {"a": {}}), {"idempotency_key": "i", "name": "n"}),
        (client.batches.variants, ({"instruction": "x"}, 2), {"first_seed": 1, "idempotency_key": "i"}),
        (client.batches.list, (), at),
        (client.batches.get, ("bat_1",), {}),
        (client.batches.items, ("bat_1",), at),
        (client.batches.items, ("bat_1",), {"before": "x"}),
        (lambda batch: list(client.batches.results(batch, ranked=True)), ("bat_1",), {}),
        (client.batches.cancel, ("bat_1",), {}),
        (client.batches.retry, ("bat_1",), {}),
        (client.batches.delete, ("bat_1",), {}),
        (client.webhooks.create, ("https://h/", ["job.failed"], "d"), {}),
        (client.webhooks.list, (), at),
        (client.webhooks.get, ("whk_1",), {}),
        (client.webhooks.update, ("whk_1",), {"url": "u", "events": [], "description": "d", "enabled": True}),
        (client.webhooks.add_secret, ("whk_1",), {}),
        (client.webhooks.remove_secret, ("whk_1", "sec_1"), {}),
        (client.webhooks.test, ("whk_1",), {}),
        (client.webhooks.delete, ("whk_1",), {}),
        (client.webhook_deliveries.list, (), {**at, "webhook": "whk_1", "state": "failed"}),
        (client.webhook_deliveries.list, (), {"before": "x"}),
        (client.webhook_deliveries.get, ("msg_1",), {}),
        (client.webhook_deliveries.replay, ("msg_1",), {}),
        (client.keys.create, ("n", ["jobs:read"]), quotas),
        (client.keys.list, (), at),
        (client.keys.update, ("key_1",), {"name": "n", **quotas, "max_seconds_per_day": None}),
        (client.keys.revoke, ("key_1",), {}),
        (client.usage, (), {"since": told.date(), "until": told.date(), "key_id": "key_1"}),
    ]
    for method, positional, named in methods:
        with suppress(InterleafError):  # a job is not what it wanted; what counts is what it sent
            method(*positional, **named)
    return seen


def operation_of(description: dict[str, Any], request: httpx.Request) -> dict[str, Any]:
    for path, operations in description["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.url.path) and request.method.lower() in operations:
            found: dict[str, Any] = operations[request.method.lower()]
            return found
    raise AssertionError(f"{request.method} {request.url.path} is not in the description")


def test_every_operation_has_a_method_or_a_reason(description: dict[str, Any]) -> None:
    every = {
        one["operationId"]
        for operations in description["paths"].values()
        for method, one in operations.items()
        if method != "head"  # GET without a body: for caches and tools; records hold what its headers say
    }
    reached = {operation_of(description, request)["operationId"] for request in every_request()}
    assert reached | set(NO_METHOD) == every
    assert not reached & set(NO_METHOD)


def test_requests_say_what_the_operations_take(description: dict[str, Any]) -> None:
    said: set[str] = set()
    for request in every_request():
        operation = operation_of(description, request)
        known = {(one["in"], one["name"].lower()) for one in operation.get("parameters", ())}
        for name in request.url.params:
            assert ("query", name) in known, (operation["operationId"], name)
        for name in ("idempotency-key", "prefer", "last-event-id", "range", "if-range", "if-match"):
            if name in request.headers:
                assert ("header", name) in known, (operation["operationId"], name)
                said.add(name)
        kind = request.headers.get("content-type", "").partition(";")[0]
        if kind:
            assert kind in operation["requestBody"]["content"], operation["operationId"]
        if ("header", "idempotency-key") in known:
            assert "idempotency-key" in request.headers, operation["operationId"]
    assert {"idempotency-key", "prefer", "last-event-id"} <= said


@pytest.mark.parametrize(("theirs", "ours"), RECORDS.items())
def test_records_know_every_field_that_is_told(description: dict[str, Any], theirs: str, ours: str) -> None:
    places = (service_records, batch_records, usage_records)
    model: type[BaseModel] = next(getattr(place, ours) for place in places if hasattr(place, ours))
    told = set(description["components"]["schemas"][theirs]["properties"])
    assert {field.alias or name for name, field in model.model_fields.items()} == told


def test_states_are_those_of_the_service(description: dict[str, Any]) -> None:
    found = re.findall(r'"enum": (\[[^\]]*"awaiting_input"[^\]]*\])', str(description).replace("'", '"'))
    assert found
    for states in found:
        of_items = {"waiting", "refused", "deleted"}  # of a batch; what they are else their jobs say
        named = set(re.findall(r'"(\w+)"', states))
        assert named - of_items == set(service_records.JobState.__args__)  # type: ignore[attr-defined]
        assert named & of_items in (set(), of_items)


def test_both_clients_have_the_same_methods() -> None:
    def surface(of: Any) -> set[str]:
        client = of("http://h", "ilk_x")
        parts = {"": client, **{name: part for name, part in vars(client).items() if not name.startswith("_")}}
        return {f"{place}.{name}" for place, part in parts.items() for name in dir(part) if not name.startswith("_")}

    assert surface(Client) == surface(AsyncClient)
    assert "jobs.create" in surface(Client)
