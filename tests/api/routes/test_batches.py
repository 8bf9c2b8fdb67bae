"""Batches over REST: made, paged, their results as lines, stopped, tried again; whose they are; what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from interleaf.errors import ServiceAway, WorkerLost
from tests.api.service import BRIEF, Client, Service
from workers.store.batches import Batches

UNKNOWN = "bat_01kaj5v1c8m2n4p6q8r0s2t4v6"
PATH = "/v1/batches"
TIDES: dict[str, Any] = {
    "name": "Tides",
    "brief": {**BRIEF, "instruction": "The tide at {{ harbour }}"},
    "items": [{"custom_id": name, "variables": {"harbour": name}} for name in ("brest", "cork", "delfzijl")],
    "metadata": {"team": "sea"},
}


def make(client: Client, **fields: Any) -> dict[str, Any]:
    answer = client.post(PATH, json=TIDES | fields)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{PATH}/{answer.json()['id']}"
    made: dict[str, Any] = answer.json()
    return made


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


def items_of(client: Client, batch: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"{PATH}/{batch['id']}/items?limit=100").json()["data"]
    return found


def results_of(client: Client, batch: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"{PATH}/{batch['id']}/results{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/jsonl"
    return [json.loads(line) for line in answer.text.splitlines()]


def end(service: Service, job_id: str, **report: Any) -> None:
    service.leases.finish(service.claim(job_id), "succeeded", result={"document_id": None, "report": report})


def fail(service: Service, job_id: str) -> None:
    service.leases.finish(service.claim(job_id), "failed", error=WorkerLost(job_id, "stopped."))


def test_a_batch_is_made_and_its_jobs_are_sent_at_once(service: Service) -> None:
    client = service.client()
    made = make(client)
    assert (made["kind"], made["item_count"], made["counts"], made["ended"]) == ("sets", 3, {"waiting": 3}, False)
    assert made["brief"] == TIDES["brief"] and made["metadata"] == {"team": "sea"}
    seen = client.get(f"{PATH}/{made['id']}").json()
    assert seen == made | {"counts": {"queued": 3}}
    items = items_of(client, made)
    assert [item["custom_id"] for item in items] == ["brest", "cork", "delfzijl"]
    job = client.get(f"/v1/jobs/{items[0]['job_id']}").json()
    assert job["metadata"] == {"team": "sea", "batch": made["id"], "item": "brest"}
    assert client.get(f"/v1/jobs/{job['id']}/brief").json()["instruction"] == "The tide at brest"
    line = client.get(PATH).json()["data"][0]
    assert line == {name: seen[name] for name in line} and "brief" not in line


def test_the_queue_is_told(service: Service) -> None:
    client = service.client()
    made = make(client)
    wanted = {item["job_id"] for item in items_of(client, made)}
    client.get("/healthz")
    service.close()  # what is to be sent is sent before the end
    assert wanted <= set(service.sent)


def test_making_it_again_under_one_key_makes_one(service: Service) -> None:
    client = service.client()
    headers = {"Idempotency-Key": "harbours"}
    first, again = (client.post(PATH, json=TIDES, headers=headers) for _ in range(2))
    assert again.json() == first.json() and again.headers["Idempotent-Replayed"] == "true"
    assert len(client.get(PATH).json()["data"]) == 1
    assert len(client.get("/v1/jobs").json()["data"]) == 3


def test_a_batch_is_there_when_its_jobs_cannot_be_ordered_now(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise ServiceAway("database", "is away.")

    client = service.client()
    monkeypatch.setattr(Batches, "advance", away)
    made = make(client)
    assert client.get(f"{PATH}/{made['id']}").json()["counts"] == {"waiting": 3}


def test_an_item_that_is_wrong_says_so_and_the_others_go_on(service: Service) -> None:
    client = service.client()
    wrong = {"custom_id": "nowhere", "variables": {}}
    made = make(client, items=[*TIDES["items"], wrong])
    assert made["counts"] == {"refused": 1, "waiting": 3}
    item = items_of(client, made)[3]
    assert (item["state"], item["job_id"], item["error"]["status"]) == ("refused", None, 422)
    assert "harbour" in item["error"]["detail"]
    assert results_of(client, made)[3]["error"] == item["error"]
    assert make(client, items=[wrong])["ended"], "one of nothing else is a batch, too"


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"items": []}, "/items"),
        ({"items": None}, ""),
        ({"variants": 3}, ""),
        ({"items": None, "variants": 51}, "/variants"),
        ({"first_seed": 3}, ""),
        ({"items": [TIDES["items"][0]] * 2}, "/items/1/custom_id"),
        ({"items": [{"custom_id": "a\u0007"}]}, "/items/0/custom_id"),
        ({"items": [{"custom_id": "a", "brief": {}}]}, "/items/0/brief"),
        ({"metadata": {"batch": "x"}}, "/metadata/batch"),
        ({"more": 1}, "/more"),
    ],
)
def test_what_is_wrong_with_the_batch_is_pointed_at(service: Service, fields: dict[str, Any], pointer: str) -> None:
    client = service.client()
    body = {name: value for name, value in (TIDES | fields).items() if value is not None}
    told = problem(client.post(PATH, json=body), 422)
    assert told["errors"][0]["pointer"] == pointer
    assert client.get(PATH).json()["data"] == []


def test_what_is_anothers_is_not_there(service: Service) -> None:
    made = make(service.client())
    bob = service.client(service.bob)
    for batch_id in (made["id"], UNKNOWN, "x%00"):
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/items"),
            ("GET", "/results"),
            ("POST", "/cancel"),
            ("POST", "/retry"),
        ):
            assert problem(bob.ask(method, f"{PATH}/{batch_id}{path}"), 404)["code"] == "object_unknown"
    assert bob.get(PATH).json()["data"] == []
    _, reader = service.key("reader", ("jobs:read",))
    assert problem(service.client(reader).post(PATH, json=TIDES), 403)["code"] == "scope_missing"


def test_items_are_paged(service: Service) -> None:
    client = service.client()
    made = make(client)
    path = f"{PATH}/{made['id']}/items"
    page = client.get(f"{path}?limit=2").json()
    assert [item["id"] for item in page["data"]] == ["1", "2"] and page["has_more"]
    page = client.get(f"{path}?limit=2&after={page['last_id']}").json()
    assert [item["id"] for item in page["data"]] == ["3"] and not page["has_more"]
    page = client.get(f"{path}?limit=1&before=3").json()
    assert [item["id"] for item in page["data"]] == ["2"] and page["has_more"]
    assert problem(client.get(f"{path}?after=x"), 422)["errors"][0]["parameter"] == "after"


def test_results_are_lines_in_the_order_of_the_items(service: Service) -> None:
    client = service.client()
    made = make(client, items=[{"custom_id": str(n), "variables": {"harbour": "x"}} for n in range(250)])
    while service.app.state.door.batches.advance(made["id"]):
        pass
    items = items_of(client, made)
    end(service, items[1]["job_id"], words=500, sentences=10, sentences_with_span=10)
    fail(service, items[2]["job_id"])
    lines = results_of(client, made)
    assert [line["custom_id"] for line in lines] == [str(n) for n in range(250)]
    assert [line["state"] for line in lines[:4]] == ["queued", "succeeded", "failed", "queued"]
    assert lines[1]["score"]["total"] == 100.0 and lines[1]["report"]["words"] == 500
    assert lines[2]["error"]["code"] == "worker_lost" and lines[2]["score"] is None


def test_variants_are_ranked_by_their_reports(service: Service) -> None:
    client = service.client()
    answer = client.post(PATH, json={"brief": BRIEF, "variants": 4, "first_seed": 10})
    made = answer.json()
    assert (answer.status_code, made["kind"], made["item_count"]) == (201, "variants", 4)
    items = items_of(client, made)
    assert [item["variables"] for item in items] == [{"seed": seed} for seed in range(10, 14)]
    for item, copied in zip(items[:3], (5, 10, 5), strict=True):
        end(service, item["job_id"], words=100, sentences=10, sentences_with_span=copied, length_score=90.0)
    lines = results_of(client, made, "?ranked=true")
    assert [line["custom_id"] for line in lines] == ["seed-11", "seed-10", "seed-12", "seed-13"]
    assert [line["number"] for line in results_of(client, made)] == [1, 2, 3, 4]
    totals = [line["score"]["total"] for line in lines[:3]]
    assert totals == sorted(totals, reverse=True) and lines[3]["score"] is None
    assert (lines[0]["score"]["length"], lines[0]["score"]["grounding"], lines[0]["score"]["pictures"]) == (
        0.9,
        1,
        None,
    )


def test_files_of_a_piece_are_in_its_line(service: Service) -> None:
    client = service.client()
    made = make(client)
    job_id = items_of(client, made)[0]["job_id"]
    result = json.loads(json.dumps(results_of(client, made)[0]))
    assert result["artifacts"] == [] and result["job_id"] == job_id


def test_a_reader_counts_among_the_streams_of_its_key(make_service: Callable[..., Service]) -> None:
    service = make_service(max_streams=0)
    client = service.client()
    made = make(client)
    assert problem(client.get(f"{PATH}/{made['id']}/results"), 429)["code"] == "requests_too_many"


def test_a_batch_is_stopped_and_tried_again(service: Service) -> None:
    client = service.client()
    made = make(client)
    first, second, _ = items_of(client, made)
    end(service, first["job_id"])
    fail(service, second["job_id"])
    canceled = client.post(f"{PATH}/{made['id']}/cancel")
    assert canceled.status_code == 202
    assert canceled.json()["counts"] == {"succeeded": 1, "failed": 1, "canceled": 1} and canceled.json()["ended"]
    assert client.post(f"{PATH}/{made['id']}/cancel").json() == canceled.json()
    again = client.post(f"{PATH}/{made['id']}/retry")
    assert again.status_code == 202 and again.json()["counts"] == {"succeeded": 1, "waiting": 2}
    assert client.get(f"{PATH}/{made['id']}").json()["counts"] == {"succeeded": 1, "queued": 2}
    job = client.get(f"/v1/jobs/{items_of(client, made)[1]['job_id']}").json()
    assert job["retry_of"] == second["job_id"]


def test_a_batch_that_is_being_canceled_is_not_tried_again(service: Service) -> None:
    client = service.client()
    made = make(client)
    service.claim(items_of(client, made)[0]["job_id"])
    assert client.post(f"{PATH}/{made['id']}/cancel").json()["counts"] == {"canceling": 1, "canceled": 2}
    assert problem(client.post(f"{PATH}/{made['id']}/retry"), 409)["code"] == "job_active"


def test_its_record_is_deleted_and_its_jobs_stay(service: Service) -> None:
    client = service.client()
    made = make(client)
    assert client.delete(f"{PATH}/{made['id']}").status_code == 204
    problem(client.get(f"{PATH}/{made['id']}"), 404)
    assert len(client.get("/v1/jobs").json()["data"]) == 3
