"""Estimates over REST: what past jobs show, whose they are, and what is said where there are none."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from tests.api.service import BRIEF, Service, problem
from workers.store.job import Use

PATH = "/v1/jobs:estimate"


def finished(service: Service, seconds: float, owner: str | None = None, **said: Any) -> None:
    """A job of that length of work, as a worker would end it."""
    report = {"writer": "extractive", "words": 480, "words_wanted": 500, "source_chars": 2_000}
    report |= {"pictures_considered": 4, "pictures_placed": 3} | said
    claim = service.claim(service.create(owner).id)
    result = {"document_id": None, "artifacts": [{"format": "html"}, {"format": "json"}], "report": report}
    service.leases.finish(claim, "succeeded", result=result, used=Use(seconds, 0))


def estimate(service: Service, secret: str | None = None, **brief: Any) -> dict[str, Any]:
    answer = service.client(secret).post(PATH, json=BRIEF | {"length_words": 500} | brief)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_nobody_has_a_past(service: Service) -> None:
    told = estimate(service)
    assert (told["basis"], told["basis_of"], told["writer"]) == (0, "nobody", "extractive")
    assert told["seconds"]["error"] is None
    assert 0 < told["seconds"]["low"] < told["seconds"]["likely"] < told["seconds"]["high"]
    assert told["tokens"]["high"] == 0
    assert told["pictures"]["high"] == 0, "the brief has no pictures"


def test_past_jobs_of_the_same_writer_are_what_it_rests_on(service: Service) -> None:
    for seconds in (8.0, 10.0, 12.0, 900.0):
        finished(service, seconds)
    finished(service, 7_000.0, writer="xc25")
    told = estimate(service, sources=[{"text": "x" * 2_000}])
    assert (told["basis"], told["basis_of"]) == (4, "own")
    assert 8 < told["seconds"]["likely"] < 14
    assert 0 < told["seconds"]["error"] < 1
    model = estimate(service, writer="xc25")
    assert (model["basis"], model["seconds"]["error"]) == (1, None)
    assert model["seconds"]["likely"] > 1_000


def test_unended_failed_and_retried_jobs_teach_nothing(service: Service) -> None:
    finished(service, 10.0)
    service.create()
    service.jobs.cancel(service.create().id, service.alice_id)
    service.finish(service.create().id)  # it does not say what it made
    assert estimate(service)["basis"] == 1


def test_strangers_jobs_are_used_in_numbers_only(service: Service) -> None:
    for _ in range(4):
        finished(service, 10.0, service.bob_id)
    assert estimate(service)["basis"] == 0
    finished(service, 10.0, service.bob_id)
    told = estimate(service)
    assert (told["basis"], told["basis_of"], told["seconds"]["error"]) == (5, "service", 0.0)
    assert estimate(service, service.bob)["basis_of"] == "own"


def test_files_are_measured_whether_they_were_sent_or_not(service: Service) -> None:
    client = service.client()
    for _ in range(3):
        finished(service, 10.0)
    note = client.post("/v1/uploads", files={"file": ("a.md", b"# words\n" * 10_000)}).json()["reference"]
    plain = estimate(service)["seconds"]["likely"]
    sent = estimate(service, sources=[note])["seconds"]["likely"]
    unsent = client.post(f"{PATH}?source_bytes=80000&pictures=4", json=BRIEF | {"length_words": 500}).json()
    assert plain < sent <= unsent["seconds"]["likely"]
    assert 0 < unsent["pictures"]["likely"] <= unsent["pictures"]["high"] <= 4
    assert client.get("/v1/jobs").json()["data"][0]["state"] == "succeeded", "nothing was made"


def test_a_budget_is_the_most_that_is_told(service: Service) -> None:
    for _ in range(3):
        finished(service, 1_000.0)
    told = estimate(service, budget={"seconds": 5})
    assert (told["seconds"]["low"], told["seconds"]["likely"], told["seconds"]["high"]) == (5, 5, 5)


@pytest.mark.parametrize(
    ("brief", "query", "told"),
    [
        ({"instruction": ""}, "", (422, "invalid_brief")),
        (BRIEF | {"length_words": 1}, "", (422, "invalid_brief")),
        (BRIEF | {"sources": ["/etc/passwd"]}, "", (422, "invalid_brief")),
        (BRIEF | {"sources": ["upload:upl_01kaj5v1c8m2n4p6q8r0s2t4v6"]}, "", (404, "object_unknown")),
        (BRIEF, "?pictures=-1", (422, "invalid_request")),
        (BRIEF, "?source_bytes=1e400", (422, "invalid_request")),
    ],
)
def test_what_cannot_be_ordered_cannot_be_estimated(
    service: Service, brief: Any, query: str, told: tuple[int, str]
) -> None:
    assert problem(service.client().post(PATH + query, json=brief)) == told


def test_it_needs_a_key_that_may_read(service: Service) -> None:
    _, watcher = service.key("watcher", ["metrics:read"])
    assert problem(service.client(watcher).post(PATH, json=BRIEF)) == (403, "scope_missing")
    assert service.client().get(PATH).status_code == 405


def test_a_long_past_is_not_read_whole(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.store.past_jobs.LOOKED_AT", 6)
    monkeypatch.setattr("workers.store.past_jobs.MOST", 4)
    for _ in range(8):
        finished(service, 10.0)
    assert estimate(service)["basis"] == 4
    for _ in range(3):
        service.create()
    assert estimate(service)["basis"] == 3
    plans: list[str] = []

    def explained(_: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if "jobs.seconds_used" in statement and not statement.startswith("EXPLAIN"):
            plans.extend(row[3] for row in cursor.connection.execute("EXPLAIN QUERY PLAN " + statement, parameters))

    engine = service.database._engine
    event.listen(engine, "before_cursor_execute", explained)
    estimate(service)
    event.remove(engine, "before_cursor_execute", explained)
    assert plans
    assert any("USING" in plan and "ix_jobs_owner_id" in plan for plan in plans), plans
