"""Webhooks over REST: made, changed, tried out, replayed, paged; whose they are; where none may lead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.api.service import Client, Service, problem
from workers.store.announcements import DEFAULT_EVENTS, EVENTS, PING
from workers.store.api_keys import KeyScope
from workers.store.deliveries import Deliveries, Outcome
from workers.store.webhooks import MAX_WEBHOOKS

PATH = "/v1/webhooks"
SENT = "/v1/webhook-deliveries"
URL = "https://hooks.example.org/in"
UNKNOWN = "whk_01kaj5v1c8m2n4p6q8r0s2t4v6"


def make(client: Client, **fields: Any) -> dict[str, Any]:
    answer = client.post(PATH, json={"url": URL} | fields)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{PATH}/{answer.json()['id']}"
    made: dict[str, Any] = answer.json()
    return made


def answered(service: Service, status: int) -> str:
    """What the courier does: send what is due."""
    deliveries = Deliveries(service.database)
    claimed = deliveries.claim(60)
    assert claimed is not None
    error = "" if status == 200 else f"answered {status}."
    deliveries.record(claimed, Outcome(datetime.now(UTC), 0.1, status, error))
    return claimed.id


def test_a_webhook_is_made_looked_at_changed_and_deleted(service: Service) -> None:
    client = service.client()
    made = make(client, description="  to the\tnewsroom ")
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made["events"] == list(DEFAULT_EVENTS)
    assert (made["description"], made["disabled_at"], made["disabled_why"]) == ("to the newsroom", None, "")
    seen = client.get(f"{PATH}/{made['id']}")
    assert seen.json() == made
    other = make(client, events=["document.published"])
    page = client.get(f"{PATH}?limit=1")
    assert [one["id"] for one in page.json()["data"]] == [other["id"]]
    assert page.json()["has_more"]
    assert client.get(f"{PATH}?after={other['id']}").json()["data"] == [made]
    assert secret not in client.get(PATH).text
    off = client.ask("PATCH", f"{PATH}/{made['id']}", json={"enabled": False, "events": ["job.failed"]}).json()
    assert off["disabled_at"] is not None
    assert off == made | {name: off[name] for name in ("disabled_at", "disabled_why", "events")}
    assert off["events"] == ["job.failed"]
    assert client.delete(f"{PATH}/{made['id']}").status_code == 204
    assert problem(client.get(f"{PATH}/{made['id']}")) == (404, "object_unknown")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hooks.example.org/", "https"),
        ("https://a.private.example/", "private network"),
        ("https://127.0.0.1/", "private network"),
        ("https://[::ffff:169.254.169.254]/", "no request may go"),
        ("https://a.nowhere.example/", "without an address"),
        ("https://hooks.example.org:25/", "port"),
        ("https://user:word@hooks.example.org/", "password"),
        ("file:///etc/passwd", "http"),
        ("gopher://hooks.example.org/", "http"),
        ("https://hooks.example.org/\n", "white space"),
    ],
)
def test_where_no_message_may_go_none_is_sent(service: Service, url: str, said: str) -> None:
    client = service.client()
    made = make(client)
    for answer in (
        client.post(PATH, json={"url": url}),
        client.ask("PATCH", f"{PATH}/{made['id']}", json={"url": url}),
    ):
        assert problem(answer) == (422, "invalid_request")
        (field,) = answer.json()["errors"]
        assert field["pointer"] == "/url"
        assert said in field["detail"]
        assert "word@" not in answer.text
    assert client.get(f"{PATH}/{made['id']}").json()["url"] == URL


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": URL, "events": []},
        {"url": URL, "events": ["ping"]},
        {"url": URL, "events": None},
        {"url": URL, "secret": "mine"},
        {"url": "https://hooks.example.org/" + "x" * 2_000},
        {"url": URL, "description": "x" * 401},
    ],
)
def test_what_is_wrong_with_a_webhook_is_named(service: Service, body: dict[str, Any]) -> None:
    client = service.client()
    answer = client.post(PATH, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert client.get(PATH).json()["data"] == []


def test_a_change_of_nothing_is_refused(service: Service) -> None:
    client = service.client()
    made = make(client)
    assert client.ask("PATCH", f"{PATH}/{made['id']}", json={}).status_code == 422


def test_others_webhooks_and_messages_are_not_there(service: Service) -> None:
    made = make(service.client())
    message = service.client().post(f"{PATH}/{made['id']}/test").json()
    bob = service.client(service.bob)
    for webhook_id in (made["id"], UNKNOWN, "nonsense"):
        for method, rest in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/test"),
            ("POST", "/secrets"),
            ("DELETE", f"/secrets/{made['secrets'][0]['id']}"),
        ):
            assert problem(bob.ask(method, f"{PATH}/{webhook_id}{rest}")) == (404, "object_unknown"), (method, rest)
        changed = bob.ask("PATCH", f"{PATH}/{webhook_id}", json={"enabled": False})
        assert problem(changed) == (404, "object_unknown")
    for method, rest in (("GET", ""), ("POST", "/replay")):
        assert problem(bob.ask(method, f"{SENT}/{message['id']}{rest}")) == (404, "object_unknown")
    assert bob.get(PATH).json()["data"] == bob.get(SENT).json()["data"] == []
    assert bob.get(f"{SENT}?webhook_id={made['id']}").json()["data"] == []


def test_reading_does_not_let_one_change(service: Service) -> None:
    made = make(service.client())
    scopes: list[KeyScope] = ["jobs:read"]
    reader = service.client(service.key("reader", scopes)[1])
    assert reader.get(PATH).status_code == 200
    for method, rest in (("POST", f"/{made['id']}/test"), ("POST", f"/{made['id']}/secrets"), ("DELETE", "/x")):
        assert problem(reader.ask(method, PATH + rest)) == (403, "scope_missing")
    assert problem(reader.post(PATH, json={"url": URL})) == (403, "scope_missing")


def test_a_test_sends_a_ping_whose_fate_can_be_read(service: Service) -> None:
    client = service.client()
    made = make(client)
    sent = client.post(f"{PATH}/{made['id']}/test")
    assert sent.status_code == 202
    message = sent.json()
    assert (message["event"], message["state"], message["attempts"]) == ("ping", "pending", [])
    assert message["message"] == {
        "type": "ping",
        "timestamp": message["message"]["timestamp"],
        "data": {"id": made["id"]},
    }
    assert answered(service, 500) == message["id"]
    after = client.get(f"{SENT}/{message['id']}").json()
    assert (after["state"], after["attempt_count"]) == ("pending", 1)
    assert [(one["number"], one["status"], one["error"]) for one in after["attempts"]] == [(1, 500, "answered 500.")]
    assert datetime.fromisoformat(after["next_at"]) > datetime.now(UTC)


def test_a_message_is_replayed_under_its_id(service: Service) -> None:
    client = service.client()
    made = make(client)
    job = service.create()
    client.post(f"/v1/jobs/{job.id}/cancel")
    message_id = answered(service, 200)
    line = client.get(f"{SENT}?state=delivered&webhook_id={made['id']}").json()["data"][0]
    assert (line["id"], line["event"]) == (message_id, "job.canceled")
    assert client.get(f"{SENT}?state=failed").json()["data"] == []
    again = client.post(f"{SENT}/{message_id}/replay")
    assert again.status_code == 202
    assert (again.json()["state"], len(again.json()["attempts"])) == ("pending", 1)
    assert answered(service, 200) == message_id
    assert len(client.get(f"{SENT}/{message_id}").json()["attempts"]) == 2


def test_secrets_are_replaced_one_by_one(service: Service) -> None:
    client = service.client()
    made = make(client)
    path = f"{PATH}/{made['id']}/secrets"
    first = made["secrets"][0]["id"]
    assert problem(client.delete(f"{path}/{first}")) == (422, "invalid_request")
    new = client.post(path)
    assert new.status_code == 201
    assert new.json()["secret"] not in (made["secret"], "")
    both = client.get(f"{PATH}/{made['id']}")
    assert [one["id"] for one in both.json()["secrets"]] == [new.json()["id"], first]
    assert new.json()["secret"] not in both.text
    assert [one["id"] for one in client.delete(f"{path}/{first}").json()["secrets"]] == [new.json()["id"]]
    assert problem(client.delete(f"{path}/{first}")) == (404, "object_unknown")
    for _ in range(4):
        assert client.post(path).status_code == 201
    assert problem(client.post(path)) == (429, "quota_reached")


def test_a_key_has_no_more_than_twenty(service: Service) -> None:
    client = service.client()
    for _ in range(MAX_WEBHOOKS):
        make(client)
    assert problem(client.post(PATH, json={"url": URL})) == (429, "quota_reached")


@pytest.mark.parametrize("query", ["webhook_id=x", "state=sent", "after=whk_1", "limit=0"])
def test_a_wrong_query_is_named(service: Service, query: str) -> None:
    answer = service.client().get(f"{SENT}?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]


def test_the_description_tells_the_messages_as_they_are(service: Service) -> None:
    client = service.client()
    make(client, events=list(EVENTS))
    told = client.get("/v1/openapi.json").json()["webhooks"]
    assert set(told) == {*EVENTS, PING}
    job = service.create()
    claim = service.claim(job.id)
    service.leases.ask(claim, {"asks": "outline"})
    client.post(f"/v1/jobs/{job.id}/cancel")
    service.finish(service.create().id)
    lines = client.get(f"{SENT}?limit=100").json()["data"]
    seen = set()
    for line in lines:
        said = client.get(f"{SENT}/{line['id']}").json()["message"]
        schema = told[said["type"]]["post"]["requestBody"]["content"]["application/json"]["schema"]
        closed = schema | {
            "properties": schema["properties"]
            | {"data": schema["properties"]["data"] | {"additionalProperties": False}}
        }
        OAS31Validator(closed).validate(said)
        seen.add(said["type"])
    assert seen == {"job.started", "job.awaiting_input", "job.canceling", "job.canceled", "job.succeeded"}
