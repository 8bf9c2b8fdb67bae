"""Idempotency: a request that comes twice creates once, whoever sends it when."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.api.service import BRIEF, Service, problem
from workers.store.answered import Answered, Request
from workers.store.tables import IdempotencyRow


def test_sent_again_it_creates_nothing_and_answers_the_same(service: Service) -> None:
    client = service.client()
    first, second = client.order(Idempotency_Key="k-1"), client.order(Idempotency_Key="k-1")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.content == second.content
    assert second.headers["Location"] == first.headers["Location"]
    assert (first.headers.get("Idempotent-Replayed"), second.headers["Idempotent-Replayed"]) == (None, "true")
    assert len(service.jobs.list(service.alice_id).jobs) == 1


def test_the_first_answer_comes_again_though_the_job_went_on(service: Service) -> None:
    client = service.client()
    first = client.order(Idempotency_Key="k")
    service.finish(first.json()["id"])
    assert client.order(Idempotency_Key="k").json()["state"] == "queued"
    waited = client.order(Idempotency_Key="k", Prefer="wait=5")  # who waits wants to see the end
    assert (waited.status_code, waited.json()["state"]) == (201, "succeeded")
    assert waited.headers["Idempotent-Replayed"] == "true"


def test_for_another_request_the_key_is_refused(service: Service) -> None:
    client = service.client()
    client.order(Idempotency_Key="k")
    others = [
        client.order(BRIEF | {"seed": 1}, Idempotency_Key="k"),
        client.order(path="/v1/jobs?external_id=x", Idempotency_Key="k"),
        client.post("/v1/uploads", files={"file": ("a.md", b"x")}, headers={"Idempotency-Key": "k"}),
    ]
    assert [problem(answer) for answer in others] == [(422, "idempotency_mismatch")] * 3
    assert service.client(service.bob).order(Idempotency_Key="k").status_code == 202  # keys are each caller's own
    assert list(service.store.list()) == []


def test_while_the_first_is_at_work_the_second_is_told_to_come_again(service: Service) -> None:
    client = service.client()
    sent: dict[str, Any] = {"files": {"file": ("a.md", b"x")}, "headers": {"Idempotency-Key": "k"}}
    assert client.post("/v1/uploads", **sent).status_code == 201
    with service.database.transaction() as session:
        session.execute(update(IdempotencyRow).values(status=None))
    busy = client.post("/v1/uploads", **sent)
    assert problem(busy) == (409, "request_in_progress")
    assert int(busy.headers["Retry-After"]) > 0
    # Its process died: after a while the key is free.
    with service.database.transaction() as session:
        session.execute(update(IdempotencyRow).values(created_at=datetime.now(UTC) - timedelta(minutes=16)))
    assert client.post("/v1/uploads", **sent).status_code == 201


def test_of_many_at_once_one_creates(service: Service) -> None:
    answers: list[Any] = []
    client = service.client()
    client.get("/v1/jobs")
    threads = [threading.Thread(target=lambda: answers.append(client.order(Idempotency_Key="same"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [answer.status_code for answer in answers] == [202] * 12
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert len(service.jobs.list(service.alice_id).jobs) == 1


def test_an_error_uses_no_key_up(service: Service) -> None:
    client = service.client()
    wrong = client.order(BRIEF | {"sources": ["upload:upl_" + "0" * 26]}, Idempotency_Key="k")
    assert problem(wrong) == (404, "object_unknown")
    assert client.order(Idempotency_Key="k").status_code == 202
    refused = client.post("/v1/uploads", files={"file": ("a", b"\0")}, headers={"Idempotency-Key": "u"})
    assert refused.status_code == 415
    sent = client.post("/v1/uploads", files={"file": ("a", b"x")}, headers={"Idempotency-Key": "u"})
    assert sent.status_code == 201


def test_an_upload_sent_again_is_kept_once(service: Service) -> None:
    client = service.client()

    def send(content: bytes = b"text", name: str = "a.md") -> Any:
        return client.post("/v1/uploads", files={"file": (name, content)}, headers={"Idempotency-Key": "k"})

    first, second = send(), send()
    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"
    assert problem(send(b"texT")) == (422, "idempotency_mismatch")
    assert problem(send(name="b.md")) == (422, "idempotency_mismatch")
    assert len(client.get("/v1/uploads").json()["data"]) == 1
    assert len(list(service.store.list())) == 1


def test_retry_and_rerun_take_a_key_too(service: Service) -> None:
    client = service.client()
    at = f"/v1/jobs/{service.create().id}"
    client.post(f"{at}/cancel")
    for path in (f"{at}/retry", f"{at}/rerun"):
        first, second = (
            client.post(path, headers={"Idempotency-Key": path}),
            client.post(path, headers={"Idempotency-Key": path}),
        )
        assert first.json()["id"] == second.json()["id"]


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 256])
def test_what_is_no_key_is_named(service: Service, name: str) -> None:
    answer = service.client().post("/v1/jobs", json=BRIEF, headers={"Idempotency-Key": name.encode()})
    assert problem(answer) == (422, "invalid_request")
    assert answer.json()["errors"][0]["header"].lower() == "idempotency-key"


def test_answers_are_forgotten_after_a_day(service: Service) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    answered = Answered(service.database, clock=lambda: now[0])
    request = Request.of(service.alice_id, "k", "POST /x", b"body")
    from workers.store.answered import Answer

    given = Answer(202, b"first", {"Location": "/x"})
    assert answered.once(request, lambda: given) == (given, False)
    now[0] += timedelta(hours=23)
    assert answered.once(request, lambda: Answer(202, b"second", {})) == (given, True)
    now[0] += timedelta(hours=2)
    assert answered.once(request, lambda: Answer(202, b"second", {}))[0].body == b"second"
    assert answered.forget(now[0]) == 0
    assert answered.forget(now[0] + timedelta(seconds=1)) == 1
