"""What holds for every route: HEAD where there is GET, links on every list, Allow, and how an operation would go."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from api.app import create_app
from api.deprecation import Deprecation
from api.heads import Heads
from tests.api.service import Service, problem

CHANGING = {"x-request-id", "ratelimit", "date"}


def links(answer: httpx.Response) -> dict[str, str]:
    """By relation, the address."""
    found = re.findall(r'<([^>]*)>; rel="([^"]*)"', answer.headers.get("Link", ""))
    return {relation: address for address, relation in found}


def steady(answer: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items() if name.lower() not in CHANGING}


def test_head_answers_as_get_without_a_body(service: Service) -> None:
    client = service.client()
    job, document = service.create().id, service.document()
    artifact = service.artifact(b"<p>words</p>" * 100)
    upload = client.post("/v1/uploads", files={"file": ("a.md", b"# words")}).json()["id"]
    for path in (
        f"/v1/jobs/{job}",
        f"/v1/jobs/{job}/brief",
        f"/v1/jobs/{job}/events",
        "/v1/jobs?limit=1",
        f"/v1/documents/{document}",
        "/v1/documents",
        f"/v1/artifacts/{artifact}",
        f"/v1/uploads/{upload}",
        "/v1/openapi.json",
        "/healthz",
    ):
        got, head = client.get(path), client.ask("HEAD", path)
        assert got.content, path
        assert not head.content, path
        assert (head.status_code, steady(head)) == (got.status_code, steady(got)), path
    etag = client.get(f"/v1/documents/{document}").headers["ETag"]
    known = client.ask("HEAD", f"/v1/documents/{document}", headers={"If-None-Match": etag})
    assert (known.status_code, known.content) == (304, b"")


def test_a_body_in_pieces_goes_out_as_one_empty_one() -> None:
    async def routes(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["method"] == "GET"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for more in (True, True, False):
            await send({"type": "http.response.body", "body": b"words", "more_body": more})

    sent: list[Message] = []
    methods: list[str] = []
    scope: Scope = {"type": "http", "method": "HEAD"}

    async def send(message: Message) -> None:
        sent.append(message)
        methods.append(scope["method"])

    async def receive() -> Message:
        raise AssertionError("nobody asked for the body")

    anyio.run(Heads(routes), scope, receive, send)
    assert sent[1:] == [{"type": "http.response.body", "body": b""}]
    assert methods == ["HEAD", "HEAD"], "the server looks at it at each message"


def test_head_over_a_socket_leaves_the_connection_fit_for_the_next_request(service: Service) -> None:
    artifact = service.artifact(b"x" * 300_000)
    with service.served() as url, httpx.Client(base_url=url, headers=service.headers()) as client:
        for _ in range(3):
            head = client.head(f"/v1/artifacts/{artifact}")
            assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "300000", b"")
            assert len(client.get(f"/v1/artifacts/{artifact}").content) == 300_000
        stream = client.head(f"/v1/jobs/{service.create().id}/events", headers={"Accept": "text/event-stream"})
        assert (stream.status_code, stream.content) == (200, b"")
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert client.head("/v1/jobs/job_1").status_code == 404


def test_head_of_a_file_does_not_open_it_and_knows_no_ranges(service: Service, monkeypatch: Any) -> None:
    artifact = service.artifact(b"x" * 1000)
    opened: list[object] = []
    monkeypatch.setattr(service.store, "read", lambda *asked: opened.append(asked))
    head = service.client().ask("HEAD", f"/v1/artifacts/{artifact}", headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.headers["Content-Length"], opened) == (200, "1000", [])
    assert "Content-Range" not in head.headers


def test_head_needs_a_key_and_is_counted_as_what_it_is(service: Service) -> None:
    job = service.create().id
    assert service.client("ilk_wrong").ask("HEAD", f"/v1/jobs/{job}").status_code == 401
    assert service.client(service.bob).ask("HEAD", f"/v1/jobs/{job}").status_code == 404
    service.client().ask("HEAD", f"/v1/jobs/{job}")
    told = service.client(service.admin).get("/metrics").text
    assert 'interleaf_http_requests_total{method="HEAD",route="/v1/jobs/{job_id}",status="200"} 1.0' in told


def test_links_lead_through_a_list_and_back(service: Service) -> None:
    # Of one millisecond the ids have any order, and the list has theirs.
    jobs = sorted((service.create(metadata={"a": "ü & b"}).id for _ in range(5)), reverse=True)
    service.create(metadata={"a": "other"})
    client = service.client()
    page = client.get("/v1/jobs", params={"limit": 2, "metadata": "a:ü & b", "state": ["queued", "running"]})
    seen, pages = [], 0
    assert "prev" not in links(page)
    first = links(page)["first"]
    while True:
        seen += [job["id"] for job in page.json()["data"]]
        pages += 1
        if "next" not in links(page):
            break
        page = client.get(links(page)["next"])
        assert links(page)["first"] == first
    assert (seen, pages) == (jobs, 3)
    back = client.get(links(page)["prev"])
    assert [job["id"] for job in back.json()["data"]] == jobs[2:4]
    back = client.get(links(back)["prev"])
    assert [job["id"] for job in back.json()["data"]] == jobs[:2]
    assert "prev" not in links(back), "nothing is newer"
    assert client.get(links(back)["next"]).json()["data"][0]["id"] == jobs[2]
    assert [job["id"] for job in client.get(first).json()["data"]] == jobs[:2]


def test_every_list_has_links(service: Service) -> None:
    described = service.client("").get("/v1/openapi.json").json()
    lists = [
        path
        for path, operations in described["paths"].items()
        if operations.get("get", {}).get("operationId", "").startswith("list") and "{" not in path
    ]
    assert {"/v1/jobs", "/v1/documents", "/v1/uploads", "/v1/keys"} <= set(lists)
    for path in lists:
        answer = service.client(service.admin).get(path)
        assert links(answer)["first"] == f"{path}?limit=20"
        assert "Link" in described["paths"][path]["get"]["responses"]["200"]["headers"], path


def test_events_have_links_too(service: Service) -> None:
    job = service.create().id
    service.finish(job)
    client, path = service.client(), f"/v1/jobs/{job}/events?limit=1"
    names = []
    while path:
        page = client.get(path)
        names += [event["name"] for event in page.json()["data"]]
        path = links(page).get("next", "")
    assert names == ["job.queued", "job.started", "job.succeeded"]


def test_a_link_cannot_grow_without_end(service: Service) -> None:
    answer = service.client().get("/v1/jobs", params={"unknown": "x" * 5_000})
    assert (answer.status_code, links(answer)) == (200, {})
    hostile = service.client().get("/v1/documents", params={"x": '>; rel="next", <http://elsewhere/'})
    assert set(links(hostile)) == {"first"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", "GET, HEAD, POST"),
        ("POST", "/v1/jobs/job_1", "DELETE, GET, HEAD"),
        ("GET", "/v1/jobs/job_1/cancel", "POST"),
        ("HEAD", "/v1/jobs/job_1/cancel", "POST"),
        ("PUT", "/v1/keys/key_1", "DELETE, PATCH"),
        ("DELETE", "/v1/openapi.json", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
def test_405_names_every_method_of_the_path(service: Service, method: str, path: str, allowed: str) -> None:
    answer = service.client().ask(method, path)
    assert answer.status_code == 405
    assert method == "HEAD" or problem(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


def test_an_operation_that_goes_says_so(service: Service) -> None:
    since, ends = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    going = {"listUploads": Deprecation(since, "/v1/problems/not_found", ends)}
    app = create_app(service.settings, service.database, service.store, limits=service.limits, deprecated=going)
    with TestClient(app, headers=service.headers()) as client:
        assert client.put("/v1/uploads").status_code == 405
        told = client.get("/v1/uploads")
        assert told.headers["Deprecation"] == "@1767225600"
        assert told.headers["Sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
        assert 'rel="deprecation"' in told.headers["Link"]
        assert 'rel="first"' in told.headers["Link"]
        assert "Deprecation" not in client.get("/v1/jobs").headers
        described = client.get("/v1/openapi.json").json()["paths"]["/v1/uploads"]
        assert (described["get"].get("deprecated"), described["post"].get("deprecated")) == (True, None)
        assert described["head"]["deprecated"] is True
