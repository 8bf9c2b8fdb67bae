"""Usage over HTTP: a key sees what it used, by the day; quotas of the day refuse in so many words; an admin sees and
sets those of all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.service import BRIEF, Service, problem
from workers.store.job import Use
from workers.store.ledger import Amounts, account


def spent(service: Service, days_ago: int, owner: str | None = None, **amounts: Any) -> str:
    """Something that was used then; the day."""
    at = datetime.now(UTC) - timedelta(days=days_ago)
    with service.database.transaction() as session:
        account(session, owner or service.alice_id, at, Amounts(**amounts))
    return at.date().isoformat()


def test_what_a_key_used_is_told_by_the_day(service: Service) -> None:
    alice = service.client()
    made = alice.post("/v1/jobs", json=BRIEF).json()["id"]
    claim = service.claim(made)
    service.leases.beat(claim, Use(2.5, 40))
    service.leases.finish(claim, "succeeded", result={"document_id": None}, used=Use(0.25, 2))
    told = alice.get("/v1/usage").json()
    used = {"jobs": 1, "ended": 1, "failed": 0, "seconds": 2.75, "tokens": 42, "bytes": 0}
    today = told["today"]["day"]
    assert told["data"] == [{"day": today, **used}]
    assert told["total"] == used
    assert told["today"] == {"day": today, **used, "free_at": told["today"]["free_at"], "quotas": []}
    assert told["today"]["free_at"] > today
    assert (told["to"], told["by"], told["key_id"]) == (today, "day", service.alice_id)
    alice.delete(f"/v1/jobs/{made}")
    assert alice.get("/v1/usage").json()["total"] == used
    assert service.client(service.bob).get("/v1/usage").json()["data"] == []


def test_days_are_read_page_by_page_and_within_dates(service: Service) -> None:
    days = [spent(service, ago, seconds=float(ago + 1)) for ago in (0, 1, 2, 5, 40)]
    alice = service.client()
    first = alice.get("/v1/usage?limit=2")
    assert [one["day"] for one in first.json()["data"]] == days[:2]
    assert (first.json()["has_more"], first.json()["last_id"]) == (True, days[1])
    assert first.json()["total"]["seconds"] == 1 + 2 + 3 + 6, "all pages, not this one; and the last 30 days"
    assert f"after={days[1]}" in first.headers["Link"]
    second = alice.get(f"/v1/usage?limit=2&after={days[1]}").json()
    assert [one["day"] for one in second["data"]] == days[2:4]
    assert not second["has_more"]
    back = alice.get(f"/v1/usage?limit=2&before={days[2]}").json()
    assert [one["day"] for one in back["data"]] == days[:2]
    within = alice.get(f"/v1/usage?from={days[4]}&to={days[2]}").json()
    assert [one["day"] for one in within["data"]] == days[2:]
    assert (within["from"], within["to"], within["total"]["seconds"]) == (days[4], days[2], 3 + 6 + 41)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-02-31", "from"),
        ("to=yesterday", "to"),
        ("from=20260101", "from"),
        ("from=2026-01-01T00:00:00", "from"),
        ("from=2026-01-02&to=2026-01-01", "from"),
        ("from=9999-12-31", "from"),
        ("after=2026-1-1", "after"),
        ("before=%00", "before"),
        ("by=hour", "by"),
        ("limit=0", "limit"),
    ],
)
def test_what_is_no_day_is_named(service: Service, query: str, field: str) -> None:
    answer = service.client().get(f"/v1/usage?{query}")
    assert problem(answer) == (422, "invalid_request")
    assert answer.json()["errors"][0]["parameter"] == field


def test_the_first_and_the_last_day_of_all_are_days(service: Service) -> None:
    alice = service.client()
    assert alice.get("/v1/usage?to=0001-01-01").json()["from"] == "0001-01-01"
    assert alice.get("/v1/usage?from=0001-01-01&to=9999-12-31").status_code == 200


def test_only_an_admin_sees_what_another_key_used(service: Service) -> None:
    spent(service, 0, owner=service.bob_id, jobs=3)
    alice, admin = service.client(), service.client(service.admin)
    assert alice.get(f"/v1/usage?key_id={service.alice_id}").status_code == 200
    assert problem(alice.get(f"/v1/usage?key_id={service.bob_id}")) == (403, "scope_missing")
    assert problem(alice.get("/v1/usage?key_id=key_" + "0" * 26)) == (403, "scope_missing")
    told = admin.get(f"/v1/usage?key_id={service.bob_id}").json()
    assert (told["key_id"], told["total"]["jobs"]) == (service.bob_id, 3)
    for unknown in ("key_" + "0" * 26, "x", "", "%00"):
        assert problem(admin.get(f"/v1/usage?key_id={unknown}")) == (404, "object_unknown")


def test_an_admin_sets_quotas_and_takes_them_away(service: Service) -> None:
    alice, admin = service.client(), service.client(service.admin)
    path = f"/v1/keys/{service.alice_id}"
    changed = admin.ask("PATCH", path, json={"name": "press", "max_jobs_per_day": 1, "max_tokens_per_day": 9}).json()
    assert (changed["name"], changed["max_jobs_per_day"], changed["max_tokens_per_day"]) == ("press", 1, 9)
    assert alice.post("/v1/jobs", json=BRIEF).status_code == 202
    refused = alice.post("/v1/jobs", json=BRIEF, headers={"Idempotency-Key": "k"})
    assert problem(refused) == (429, "day_quota_reached")
    told = refused.json()
    quota = told["quota"]
    assert (quota["name"], quota["limit"], quota["used"]) == ("max_jobs_per_day", 1, 1)
    free_at = datetime.fromisoformat(quota["free_at"])
    left_s = (free_at - datetime.now(UTC)).total_seconds()
    assert (free_at.hour, free_at.minute, free_at.second) == (0, 0, 0)
    assert 0 <= int(refused.headers["Retry-After"]) - left_s < 60
    assert "limited to 1" in told["detail"] and quota["free_at"] in told["detail"]
    assert alice.get("/v1/usage").json()["today"]["quotas"] == [
        {"name": "max_jobs_per_day", "limit": 1, "used": 1, "left": 0},
        {"name": "max_tokens_per_day", "limit": 9, "used": 0, "left": 9},
    ]
    taken = admin.ask("PATCH", path, json={"max_jobs_per_day": None}).json()
    assert (taken["max_jobs_per_day"], taken["max_tokens_per_day"], taken["name"]) == (None, 9, "press")
    again = alice.post("/v1/jobs", json=BRIEF, headers={"Idempotency-Key": "k"})  # what was refused was not used up
    assert again.status_code == 202
    assert alice.get("/v1/usage").json()["total"]["jobs"] == 2


def test_wrong_changes_of_a_key_are_named(service: Service) -> None:
    admin = service.client(service.admin)
    path = f"/v1/keys/{service.alice_id}"
    for body in ({}, {"max_jobs_per_day": -1}, {"name": ""}, {"scopes": ["admin"]}, {"secret": "x"}, {"name": None}):
        assert problem(admin.ask("PATCH", path, json=body)) == (422, "invalid_body"), body
    assert problem(admin.ask("PATCH", "/v1/keys/key_" + "0" * 26, json={"name": "x"})) == (404, "object_unknown")
    assert problem(service.client().ask("PATCH", path, json={"name": "x"})) == (403, "scope_missing")


def test_a_key_is_made_with_quotas_of_the_day(service: Service) -> None:
    admin = service.client(service.admin)
    order = {"name": "students", "scopes": ["jobs:read", "jobs:write"], "max_seconds_per_day": 0}
    made = admin.post("/v1/keys", json=order).json()
    assert (made["max_seconds_per_day"], made["max_jobs_per_day"]) == (0, None)
    refused = service.client(made["secret"]).post("/v1/jobs", json=BRIEF)
    assert problem(refused) == (429, "day_quota_reached")
    assert refused.json()["quota"]["name"] == "max_seconds_per_day"


def test_every_way_to_order_is_held_and_counted(service: Service) -> None:
    """A retry, a rerun, an ingest, and a schedule's run by hand; a batch waits."""
    alice, admin = service.client(), service.client(service.admin)
    ended = service.create()
    service.leases.finish(service.claim(ended.id), "incomplete", result={"document_id": None})
    library = alice.post("/v1/libraries", json={"name": "l"}).json()["id"]
    upload = alice.post("/v1/uploads", files={"file": ("a.png", _png(), "image/png")}).json()["id"]
    schedule = {"name": "s", "brief": BRIEF, "cron": "0 0 1 1 *"}
    schedule_id = alice.post("/v1/schedules", json=schedule).json()["id"]
    ways: list[Callable[[], Any]] = [
        lambda: alice.post("/v1/jobs", json=BRIEF),
        lambda: alice.post(f"/v1/jobs/{ended.id}/retry"),
        lambda: alice.post(f"/v1/jobs/{ended.id}/rerun"),
        lambda: alice.post(f"/v1/libraries/{library}/ingests", json={"uploads": [upload]}),
        lambda: alice.post(f"/v1/schedules/{schedule_id}/trigger"),
    ]
    admin.ask("PATCH", f"/v1/keys/{service.alice_id}", json={"max_jobs_per_day": 1})
    for way in ways:
        assert problem(way()) == (429, "day_quota_reached")
    batch = alice.post("/v1/batches", json={"brief": BRIEF, "variants": 2})
    assert batch.status_code == 201
    assert alice.get(f"/v1/batches/{batch.json()['id']}").json()["counts"] == {"waiting": 2}
    assert alice.get("/v1/usage").json()["total"]["jobs"] == 1
    admin.ask("PATCH", f"/v1/keys/{service.alice_id}", json={"max_jobs_per_day": 6})
    for way in ways:
        assert way().status_code == 202, way
    assert alice.get("/v1/usage").json()["total"]["jobs"] == 6


def _png() -> bytes:
    import io

    from PIL import Image

    made = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(made, "PNG")
    return made.getvalue()
