"""Documents through both clients: the version in hand goes along, jobs are waited for, and what somebody else did
meanwhile is told and not lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from interleaf import AsyncClient, Client
from interleaf.errors import InvalidRequest, JobActive, NothingToSay, VersionStale
from interleaf.service.retrying import Retrying
from interleaf.service.service_records import Document
from tests.sdk.test_openapi_and_client import JOB

TOLD = {"id": "doc_1", "title": "t", "created_at": "2026-01-31T12:00:00Z", "article": {}, "artifacts": []}
FIRST = Document.model_validate({**TOLD, "version": 3})
EDIT = {"op": "rewrite", "block_id": "b-1"}
RUNNING = {**JOB, "id": "job_2", "kind": "edit", "state": "running"}
DONE = {**RUNNING, "state": "succeeded", "result": {"document_id": "doc_1", "artifacts": [], "report": {"version": 4}}}

Script = Callable[[httpx.Request], httpx.Response]


def run(script: Script, use: Callable[[Any], Any], *, is_async: bool) -> Any:
    """What `use(documents)` gives with a client of either kind."""
    once = Retrying(attempts=1, away_s=0)
    transport = httpx.MockTransport(script)
    if not is_async:
        with Client("http://h", "ilk_x", transport=transport, retrying=once) as client:
            return use(client.documents)

    async def work() -> Any:
        async with AsyncClient("http://h", "ilk_x", transport=transport, retrying=once) as client:
            return await use(client.documents)

    return asyncio.run(work())


def document(version: int) -> httpx.Response:
    return httpx.Response(200, json={**TOLD, "version": version})


def problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"status": status, "code": code, "detail": "doc_1: it is at version 9."})


@pytest.mark.parametrize("is_async", [False, True])
def test_an_edit_says_its_version_waits_for_its_job_and_gives_the_version_that_it_made(is_async: bool) -> None:
    seen: list[httpx.Request] = []

    def script(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        path = request.url.path
        if request.method == "POST":
            return httpx.Response(202, json=RUNNING)
        if path.startswith("/v1/jobs/"):
            return httpx.Response(200, json=RUNNING if len(seen) < 4 else DONE)
        # Somebody has edited it further by then.
        return document(4) if path.endswith("/versions/4") else document(5)

    made = run(script, lambda documents: documents.edit(FIRST, EDIT, writer="tiny"), is_async=is_async)
    assert made.version == 4
    asked = seen[0]
    assert (asked.url.path, asked.headers["If-Match"], asked.url.params["writer"]) == (
        "/v1/documents/doc_1/edits",
        '"3"',
        "tiny",
    )
    assert asked.headers["Idempotency-Key"]
    assert json.loads(asked.content) == {**EDIT, "wish": ""}
    assert [request.url.path for request in seen[1:]] == [
        *["/v1/jobs/job_2"] * 3,
        "/v1/documents/doc_1",
        "/v1/documents/doc_1/versions/4",
    ]


@pytest.mark.parametrize("is_async", [False, True])
def test_what_goes_wrong_is_raised_as_in_process(is_async: bool) -> None:
    failed = {**RUNNING, "state": "failed", "error": {"status": 422, "code": "nothing_to_say", "detail": "sources: x"}}
    cases: list[tuple[Script, Callable[[Any], Any], type[Exception]]] = [
        (lambda request: problem(412, "version_stale"), lambda d: d.edit(FIRST, EDIT), VersionStale),
        (lambda request: problem(412, "version_stale"), lambda d: d.undo(FIRST), VersionStale),
        (lambda request: problem(412, "version_stale"), lambda d: d.delete(FIRST), VersionStale),
        (lambda request: document(4), lambda d: d.edit(FIRST, {"op": "fly"}), InvalidRequest),
        (
            lambda request: httpx.Response(202 if request.method == "POST" else 200, json=RUNNING),
            lambda d: d.edit(FIRST, EDIT, timeout_s=0),
            JobActive,
        ),
        (
            lambda request: httpx.Response(202 if request.method == "POST" else 200, json=failed),
            lambda d: d.edit(FIRST, EDIT),
            NothingToSay,
        ),
    ]
    for script, use, error in cases:
        with pytest.raises(error):
            run(script, use, is_async=is_async)


@pytest.mark.parametrize("is_async", [False, True])
def test_files_are_waited_for_until_nobody_makes_any(is_async: bool) -> None:
    seen: list[str] = []

    def script(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        if request.url.path == "/v1/jobs/job_2":
            return httpx.Response(200, json={**DONE, "kind": "render"})
        if request.url.path == "/v1/jobs/job_3":
            return problem(404, "job_unknown")  # deleted meanwhile
        job = {1: "job_2", 3: "job_3"}.get(len(seen))
        return httpx.Response(200, json={**TOLD, "version": 4, "render_job_id": job})

    made = run(script, lambda documents: documents.rendered(FIRST), is_async=is_async)
    assert (made.version, made.render_job_id) == (4, None)
    assert seen == [
        "/v1/documents/doc_1",
        "/v1/jobs/job_2",
        "/v1/documents/doc_1",
        "/v1/jobs/job_3",
        "/v1/documents/doc_1",
    ]
