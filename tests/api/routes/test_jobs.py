"""Orders over REST: what is taken in is kept, what is refused says why, lists stand still, nobody sees another's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from api.routes import jobs as routes
from interleaf.errors import ServiceAway
from tests.api.service import BRIEF, Service, problem
from workers.store.database import Database


def test_an_order_is_kept_and_told(service: Service) -> None:
    client = service.client()
    answer = client.post(
        "/v1/jobs?external_id=order-7&metadata=team:harbour&metadata=run:2&start_within_s=60", json=BRIEF
    )
    assert answer.status_code == 202
    told = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{told['id']}"
    assert int(answer.headers["Retry-After"]) > 0
    assert (told["state"], told["kind"], told["external_id"]) == ("queued", "article", "order-7")
    assert told["metadata"] == {"team": "harbour", "run": "2"}
    assert told["expires_at"] > told["created_at"]
    assert client.get(answer.headers["Location"]).json() == told
    brief = client.get(f"/v1/jobs/{told['id']}/brief").json()
    assert (brief["instruction"], brief["seed"], brief["formats"]) == (BRIEF["instruction"], 0, ["html", "md"])


def test_the_queue_is_told_after_the_job_is_there(service: Service) -> None:
    seen: list[str] = []

    def deliver(job_id: str) -> None:
        seen.append(service.jobs.get(job_id, service.alice_id).state)

    service.deliver = deliver  # type: ignore[method-assign]
    service.client().order()
    _until(lambda: seen == ["queued"])


@pytest.mark.parametrize("error", [ServiceAway("queue", "is away."), OSError("refused")])
def test_without_a_queue_jobs_are_taken_in_all_the_same(service: Service, error: Exception) -> None:
    def away(job_id: str) -> None:
        raise error

    service.deliver = away  # type: ignore[method-assign]
    client = service.client()
    answers = [client.order() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert {job.id for job in service.jobs.list(service.alice_id).jobs} == {answer.json()["id"] for answer in answers}


def test_a_queue_that_hangs_keeps_nobody_waiting(service: Service) -> None:
    over = threading.Event()
    service.deliver = lambda job_id: over.wait(30)  # type: ignore[assignment, method-assign, return-value]
    client, begun = service.client(), time.monotonic()
    try:
        assert [client.order().status_code for _ in range(5)] == [202] * 5
        assert time.monotonic() - begun < 10
    finally:
        over.set()


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ({"sources": ["/etc/passwd"]}, "/sources/0/path"),
        ({"sources": [{"text": "x"}, {"path": "notes/a.md"}]}, "/sources/1/path"),
        ({"sources": [{"path": "upload:../../etc/passwd"}]}, "/sources/0/path"),
        ({"sources": [{"path": "upload:upl_"}]}, "/sources/0/path"),
        ({"pictures": ["file:///etc/passwd"]}, "/pictures/0/path"),
        ({"pictures": [{"path": "https://example.org/a.png"}]}, "/pictures/0/path"),
    ],
)
def test_a_path_would_name_a_file_of_the_servers(service: Service, field: dict[str, Any], pointer: str) -> None:
    answer = service.client().order(BRIEF | field)
    assert problem(answer) == (422, "invalid_brief")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert service.jobs.list(service.alice_id).jobs == ()


def test_paths_are_refused_in_overrides_too(service: Service) -> None:
    job = service.create()
    answer = service.client().post(f"/v1/jobs/{job.id}/rerun", json={"pictures": ["/etc"]})
    assert problem(answer) == (422, "invalid_brief")


@pytest.mark.parametrize(
    ("brief", "pointer"),
    [
        ({"instruction": " "}, "/instruction"),
        ({"instruction": "x", "length_words": 3}, "/length_words"),
        ({"instruction": "x", "outline": {"sections": [{"heading": "a"}, {"heading": "b", "colour": 1}]}}, None),
        ({"instruction": "x", "a/b~c": 1}, "/a~1b~0c"),
        ({}, "/instruction"),
        ([], ""),
    ],
)
def test_a_wrong_field_is_pointed_at(service: Service, brief: Any, pointer: str | None) -> None:
    answer = service.client().post("/v1/jobs", json=brief)
    assert problem(answer) == (422, "invalid_brief")
    pointers = [error["pointer"] for error in answer.json()["errors"]]
    assert (pointer if pointer is not None else "/outline/sections/1/colour") in pointers


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b'{"instruction": NaN}',
        b'{"instruction": 1e999}',
        b"[" * 100_000,
        b"1" * 5_000,
        b'"\xed\xa0\x80"',
    ],
)
def test_what_is_no_json_is_refused(service: Service, body: bytes) -> None:
    answer = service.client().post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert problem(answer) == (400, "body_invalid")


def test_only_json_is_taken(service: Service) -> None:
    answer = service.client().post("/v1/jobs", content=b"instruction=x", headers={"Content-Type": "text/plain"})
    assert problem(answer) == (415, "media_unsupported")


def test_surrogates_and_nul_are_cleaned(service: Service) -> None:
    brief = b'{"instruction": "a\\ud800\\u0000b", "sources": [{"text": "c\\u0000"}]}'
    answer = service.client().post("/v1/jobs", content=brief, headers={"Content-Type": "application/json"})
    assert answer.status_code == 202
    kept = service.jobs.brief(answer.json()["id"], service.alice_id)
    assert kept["instruction"] == "a\ufffd b"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("metadata=team", "metadata"),
        ("metadata=a:1&metadata=a:2", "metadata"),
        ("metadata=%00:x", "metadata"),
        ("external_id=%0a", "external_id"),
        ("start_within_s=0", "start_within_s"),
    ],
)
def test_a_wrong_label_is_named(service: Service, query: str, name: str) -> None:
    answer = service.client().post(f"/v1/jobs?{query}", json=BRIEF)
    assert problem(answer) == (422, "invalid_request")
    assert [error["parameter"] for error in answer.json()["errors"]] == [name]


def test_waiting_answers_with_the_end(service: Service) -> None:
    client = service.client()
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(client.order(Prefer="wait=20")))
    thread.start()
    _until(lambda: service.sent)
    service.finish(service.sent[0])
    thread.join(20)
    assert done[0].status_code == 201
    assert done[0].json()["state"] == "succeeded"
    assert done[0].headers["Preference-Applied"] == "wait=20"
    assert "Retry-After" not in done[0].headers


def test_waiting_ends_in_time_and_nonsense_is_passed_over(service: Service) -> None:
    begun = time.monotonic()
    answer = service.client().order(Prefer="respond-async, wait=1")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert 0.9 < time.monotonic() - begun < 10
    for nonsense in ("wait=x", "wait", "wait=-1", "wait=", ",,"):
        assert "Preference-Applied" not in service.client().order(Prefer=nonsense).headers
    assert routes.wait_s_of("WAIT=99999", 60) == 60


def test_pages_stand_still_while_jobs_come(service: Service) -> None:
    client = service.client()
    made = [service.create().id for _ in range(7)]
    newest_first = made[::-1]
    first = client.get("/v1/jobs?limit=3").json()
    assert ([job["id"] for job in first["data"]], first["has_more"]) == (newest_first[:3], True)
    late = service.create().id
    second = client.get(f"/v1/jobs?limit=3&after={first['last_id']}").json()
    assert [job["id"] for job in second["data"]] == newest_first[3:6]
    third = client.get(f"/v1/jobs?limit=3&after={second['last_id']}").json()
    assert ([job["id"] for job in third["data"]], third["has_more"]) == (newest_first[6:], False)
    back = client.get(f"/v1/jobs?before={first['first_id']}").json()
    assert [job["id"] for job in back["data"]] == [late]


def test_lists_are_filtered(service: Service) -> None:
    client = service.client()
    named = service.create(metadata={"team": "a"}, external_id="e")
    other = service.create(metadata={"team": "b"})
    service.jobs.cancel(other.id, service.alice_id)

    def listed(query: str) -> list[str]:
        return [job["id"] for job in client.get(f"/v1/jobs?{query}").json()["data"]]

    assert listed("metadata=team:a") == listed("external_id=e") == listed("state=queued") == [named.id]
    assert listed("state=canceled&state=failed") == [other.id]
    assert listed("kind=webpage") == []
    assert listed("created_from=2000-01-01T00:00:00Z&created_before=2000-01-02T00:00:00Z") == []
    for query in ("state=done", "limit=0", "limit=101", "created_from=2026-01-01", "after=job_1", "metadata=x"):
        assert problem(client.get(f"/v1/jobs?{query}")) == (422, "invalid_request"), query
    for moment in ("1969-12-31T23:59:59Z", "1970-01-01T00:00:00%2B05:00", "0001-01-01T00:00:00%2B05:00"):
        assert problem(client.get(f"/v1/jobs?created_from={moment}")) == (422, "invalid_request")


def test_a_job_is_canceled_retried_rerun_and_deleted(service: Service) -> None:
    client = service.client()
    job = client.order().json()
    at = f"/v1/jobs/{job['id']}"
    assert problem(client.delete(at)) == (409, "job_active")
    assert problem(client.post(f"{at}/retry")) == (409, "job_active")
    canceled = client.post(f"{at}/cancel")
    assert (canceled.status_code, canceled.json()["state"]) == (202, "canceled")
    assert problem(client.post(f"{at}/cancel")) == (409, "job_final")
    retried = client.post(f"{at}/retry")
    assert (retried.status_code, retried.json()["retry_of"]) == (202, job["id"])
    again = client.post(f"{at}/rerun", json={"seed": 7, "kind": "webpage"})
    assert (again.json()["rerun_of"], again.json()["kind"]) == (job["id"], "webpage")
    assert client.get(f"{again.headers['Location']}/brief").json()["seed"] == 7
    assert client.post(f"{at}/rerun").status_code == 202
    assert client.delete(at).status_code == 204
    assert problem(client.get(at)) == (404, "job_unknown")


def test_deleting_removes_the_files_and_the_run(service: Service) -> None:
    job = service.create()
    artifact = service.artifact(b"<p>", job_id=job.id)
    service.finish(job.id)
    run = service.settings.runs_dir / job.run_id
    run.mkdir(parents=True)
    (run / "brief.json").write_text("{}")
    client = service.client()
    told = client.get(f"/v1/jobs/{job.id}").json()
    assert [one["url"] for one in told["result"]["artifacts"]] == [f"/v1/artifacts/{artifact}"]
    assert client.delete(f"/v1/jobs/{job.id}").status_code == 204
    assert not run.exists()
    assert list(service.store.list("jobs")) == []
    assert client.get(f"/v1/artifacts/{artifact}").status_code == 404


def test_a_failed_job_tells_why(service: Service) -> None:
    job = service.create()
    error = ServiceAway("disk", "is full.", "Make room.")
    service.leases.finish(service.claim(job.id), "failed", error=error)
    told = service.client().get(f"/v1/jobs/{job.id}").json()["error"]
    assert (told["code"], told["status"], told["detail"]) == ("service_away", 503, "disk: is full. Make room.")


def test_nobody_sees_what_is_anothers(service: Service) -> None:
    job = service.create()
    document, artifact = service.document(), service.artifact(b"x")
    sent = service.client().post("/v1/uploads", files={"file": ("a.md", b"text")}).json()
    bob = service.client(service.bob)
    asked = [
        ("GET", f"/v1/jobs/{job.id}"),
        ("GET", f"/v1/jobs/{job.id}/brief"),
        ("GET", f"/v1/jobs/{job.id}/input"),
        ("GET", f"/v1/jobs/{job.id}/events"),
        ("DELETE", f"/v1/jobs/{job.id}"),
        ("POST", f"/v1/jobs/{job.id}/cancel"),
        ("POST", f"/v1/jobs/{job.id}/retry"),
        ("POST", f"/v1/jobs/{job.id}/rerun"),
        ("GET", f"/v1/documents/{document}"),
        ("GET", f"/v1/artifacts/{artifact}"),
        ("GET", f"/v1/uploads/{sent['id']}"),
        ("DELETE", f"/v1/uploads/{sent['id']}"),
    ]
    for method, path in asked:
        assert bob.ask(method, path).status_code == 404, path
    answer = bob.post(f"/v1/jobs/{job.id}/input", json={"request_id": "req_1", "action": "approve"})
    assert problem(answer) == (404, "job_unknown")
    assert problem(bob.order(BRIEF | {"sources": [sent["reference"]]})) == (404, "object_unknown")
    for path in ("/v1/jobs", "/v1/documents", "/v1/uploads"):
        assert bob.get(path).json()["data"] == []
    assert service.jobs.get(job.id, service.alice_id).state == "queued"


@pytest.mark.parametrize("name", ["x", "job_", "..%2f..%2fetc", "%00", "job_" + "z" * 26, "a" * 3_000])
def test_what_is_no_id_is_unknown(service: Service, name: str) -> None:
    for path in (f"/v1/jobs/{name}", f"/v1/documents/{name}", f"/v1/artifacts/{name}", f"/v1/uploads/{name}"):
        assert service.client().get(path).status_code == 404


def test_quotas_and_a_full_queue_say_when_to_come_again(make_service: Callable[..., Service]) -> None:
    service = make_service(max_queued_jobs=3)
    _, small = service.key("small", max_active_jobs=2)
    client = service.client(small)
    first = client.order().json()["id"]
    client.order()
    assert problem(client.order()) == (429, "quota_reached")
    client.post(f"/v1/jobs/{first}/cancel")
    assert client.order().status_code == 202  # room is seen at once
    alice = service.client()
    assert alice.order().status_code == 202
    assert problem(alice.order()) == (503, "queue_full")
    assert len(service.jobs.list(service.alice_id).jobs) == 1


def test_without_a_database_nothing_is_half_written(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    client = service.client()
    client.get("/v1/jobs")
    real = Database.transaction

    def away(self: Database) -> Any:
        raise ServiceAway("sqlite:///secret/place", "cannot be used now (disk).", "Try again.")

    monkeypatch.setattr(Database, "transaction", away)
    for answer in (
        client.order(Idempotency_Key="k"),
        client.post("/v1/uploads", files={"file": ("a.md", b"text")}),
    ):
        assert problem(answer) == (503, "service_away")
        assert "secret" not in answer.text
    monkeypatch.setattr(Database, "transaction", real)
    assert list(service.store.list()) == []
    assert client.get("/v1/jobs").json()["data"] == []
    assert client.order(Idempotency_Key="k").status_code == 202  # the key was not used up
    monkeypatch.setattr(Database, "reading", away)
    assert problem(client.get("/v1/jobs")) == (503, "service_away")
    answer = client.get("/readyz")
    assert problem(answer) == (503, "not_ready")
    assert "database" in answer.json()["detail"]
    assert "secret" not in answer.text
    assert client.get("/healthz").status_code == 200


def _until(met: Callable[[], Any], seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.01)
