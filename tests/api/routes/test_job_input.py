"""Job input: a question is shown, an answer that fits goes on, one that does not is refused and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.api.service import Service, problem

PICTURES = {"asks": "pictures", "pictures": [{"slot": 1, "picture_id": "a", "alternatives": ["b", "c"]}]}
OUTLINE = {"asks": "outline", "outline": {"title": "Tides", "sections": [{"heading": "The moon"}]}}


def asked(service: Service, question: dict[str, Any]) -> tuple[str, str]:
    """A job that asks, and the name of its question."""
    job = service.create()
    told = service.leases.ask(service.claim(job.id), question)
    assert told.request_id is not None
    return job.id, told.request_id


def test_a_question_is_shown_and_answered(service: Service) -> None:
    client = service.client()
    job_id, request_id = asked(service, OUTLINE)
    told = client.get(f"/v1/jobs/{job_id}/input").json()
    assert (told["request_id"], told["asks"], told["question"]) == (request_id, "outline", OUTLINE)
    assert client.get(f"/v1/jobs/{job_id}").json()["input"]["request_id"] == request_id
    edited = {"title": "Tides", "sections": [{"heading": "The sun"}]}
    body = {"request_id": request_id, "action": "edit", "outline": edited}
    answer = client.post(f"/v1/jobs/{job_id}/input", json=body)
    assert (answer.status_code, answer.json()["input"]) == (202, None)
    kept = service.jobs.get(job_id, service.alice_id).answer
    assert kept is not None
    assert (kept["decision"], kept["outline"]["sections"][0]["heading"]) == ("edit", "The sun")
    assert problem(client.post(f"/v1/jobs/{job_id}/input", json=body)) == (409, "request_stale")
    assert problem(client.get(f"/v1/jobs/{job_id}/input")) == (404, "object_unknown")


def test_cancel_is_an_answer(service: Service) -> None:
    job_id, request_id = asked(service, OUTLINE)
    answer = service.client().post(f"/v1/jobs/{job_id}/input", json={"request_id": request_id, "action": "cancel"})
    assert answer.json()["state"] == "canceled"


def test_an_answer_to_an_old_question_is_stale(service: Service) -> None:
    job_id, _ = asked(service, OUTLINE)
    body = {"request_id": "req_" + "0" * 26, "action": "approve"}
    assert problem(service.client().post(f"/v1/jobs/{job_id}/input", json=body)) == (409, "request_stale")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (OUTLINE, {"action": "edit"}),
        (OUTLINE, {"action": "edit", "outline": {"sections": []}}),
        (OUTLINE, {"action": "edit", "pictures": {"1": "a"}}),
        (OUTLINE, {"action": "edit", "outline": {"sections": [{"heading": "a"}]}, "pictures": {}}),
        (OUTLINE, {"action": "respond"}),
        (PICTURES, {"action": "edit", "pictures": {"1": "z"}}),
        (PICTURES, {"action": "edit", "pictures": {"2": "a"}}),
        (PICTURES, {"action": "edit", "outline": {"sections": [{"heading": "a"}]}}),
        (PICTURES, {"action": "approve", "shell": "rm"}),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_the_job_waits_on(
    service: Service, question: dict[str, Any], answer: dict[str, Any]
) -> None:
    job_id, request_id = asked(service, question)
    refused = service.client().post(f"/v1/jobs/{job_id}/input", json={"request_id": request_id} | answer)
    assert refused.status_code == 422
    assert refused.json()["errors"]
    job = service.jobs.get(job_id, service.alice_id)
    assert (job.state, job.answered_at) == ("awaiting_input", None)


def test_a_picture_is_swapped_for_one_that_was_offered(service: Service) -> None:
    job_id, request_id = asked(service, PICTURES)
    body = {"request_id": request_id, "action": "edit", "pictures": {"1": "c"}}
    assert service.client().post(f"/v1/jobs/{job_id}/input", json=body).status_code == 202


@pytest.mark.parametrize(
    ("question", "answer", "fits"),
    [
        (OUTLINE, {"action": "approve"}, True),
        (OUTLINE, {"action": "cancel"}, True),
        (OUTLINE, {"action": "edit", "outline": OUTLINE["outline"]}, True),
        (OUTLINE, {"action": "edit", "outline": {"sections": []}}, False),
        (OUTLINE, {"action": "edit", "outline": {"title": "x"}}, False),
        (OUTLINE, {"action": "edit", "outline": {"sections": [{"heading": "a", "colour": 1}]}}, False),
        (OUTLINE, {"action": "edit", "pictures": {"1": "a"}}, False),
        (OUTLINE, {"action": "edit"}, False),
        (OUTLINE, {"action": "reject"}, False),
        (PICTURES, {"action": "approve"}, True),
        (PICTURES, {"action": "edit", "pictures": {"1": "b"}}, True),
        (PICTURES, {"action": "edit", "pictures": {"1": None}}, True),
        (PICTURES, {"action": "edit", "pictures": {"1": "z"}}, False),
        (PICTURES, {"action": "edit", "pictures": {"2": "a"}}, False),
        (PICTURES, {"action": "edit", "outline": OUTLINE["outline"]}, False),
    ],
)
def test_the_schema_of_the_answer_takes_what_the_service_takes(
    service: Service, question: dict[str, Any], answer: dict[str, Any], fits: bool
) -> None:
    job_id, request_id = asked(service, question)
    path = f"/v1/jobs/{job_id}/input"
    schema = service.client().get(path).json()["answer_schema"]
    Draft202012Validator.check_schema(schema)
    body = {"request_id": request_id, **answer}
    assert Draft202012Validator(schema).is_valid(body) is fits
    assert not Draft202012Validator(schema).is_valid(body | {"request_id": "req_of_another"})
    assert service.client().post(path, json=body).status_code == (202 if fits else 422)


def test_a_question_of_a_newer_worker_can_be_answered_plainly(service: Service) -> None:
    job_id, request_id = asked(service, {"asks": "music"})
    schema = service.client().get(f"/v1/jobs/{job_id}/input").json()["answer_schema"]
    assert Draft202012Validator(schema).is_valid({"request_id": request_id, "action": "approve"})
    assert not Draft202012Validator(schema).is_valid({"request_id": request_id, "action": "edit"})
