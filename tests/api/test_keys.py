"""Keys: nobody gets in without one, each does what its scopes say, secrets are kept nowhere, rates are held."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from api.app import prepare
from api.keys import OPEN_PATHS, OPEN_PREFIXES
from api.rate import Rates
from tests.api.service import BRIEF, Service, problem
from workers.store.tables import ApiKeyRow, IdempotencyRow


def operations(service: Service) -> list[tuple[str, str]]:
    """Every operation of the service, with a path that has ids in it."""
    found = service.client().get("/v1/openapi.json").json()["paths"]
    return [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, methods in found.items()
        for method in methods
    ]


def test_every_route_needs_a_key(service: Service) -> None:
    asked = [one for one in operations(service) if one[1] not in OPEN_PATHS and not one[1].startswith(OPEN_PREFIXES)]
    assert len(asked) >= 22
    nobody = service.client("")
    for method, path in [*asked, ("GET", "/v1/nothing"), ("GET", "/"), ("OPTIONS", "/v1/jobs"), ("TRACE", "/v1/jobs")]:
        answer = nobody.ask(method, path)
        assert answer.status_code == 401, (method, path)
        if method != "HEAD":  # whose answers have no body
            assert problem(answer) == (401, "key_refused"), (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert "Access-Control-Allow-Origin" not in answer.headers
    for path in sorted(OPEN_PATHS):
        assert nobody.get(path).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer ilk_",
        "Bearer ilk_" + "a" * 43,
        "Basic {key}",
        "{key}",
        "Bearer {key}x",
        "Bearer {upper}",
        "Bearer " + "x" * 5_000,
        "Bearer \u00e9",
    ],
)
def test_what_is_no_key_is_refused(service: Service, header: str) -> None:
    said = header.format(key=service.alice, upper=service.alice.swapcase())
    answer = service.client("").get("/v1/jobs", headers={"Authorization": said.encode("latin-1")})
    assert problem(answer) == (401, "key_refused")


def test_a_key_is_taken_from_its_header_alone(service: Service) -> None:
    nobody = service.client("")
    assert nobody.get("/v1/jobs", headers={"Authorization": f"bearer {service.alice}"}).status_code == 200
    for said in (
        {"headers": {"X-Api-Key": service.alice}},
        {"headers": {"Cookie": f"Authorization=Bearer {service.alice}"}},
        {"params": {"api_key": service.alice, "access_token": service.alice}},
        {"headers": [("Authorization", f"Bearer {service.alice}"), ("Authorization", "Bearer x")]},
    ):
        given: Any = said
        if isinstance(given.get("headers"), list):
            answer = service._portal.request("GET", "/v1/jobs", headers=given["headers"])
            assert answer.status_code == 401
        else:
            assert nobody.get("/v1/jobs", **given).status_code == 401


def test_a_revoked_key_is_out_at_once(service: Service) -> None:
    admin, alice = service.client(service.admin), service.client()
    assert alice.get("/v1/jobs").status_code == 200
    first = admin.delete(f"/v1/keys/{service.alice_id}")
    assert first.json()["revoked_at"] is not None
    assert admin.delete(f"/v1/keys/{service.alice_id}").json() == first.json()
    assert problem(alice.get("/v1/jobs")) == (401, "key_refused")
    assert problem(admin.delete("/v1/keys/key_" + "0" * 26)) == (404, "object_unknown")


def test_a_key_that_is_revoked_elsewhere_is_out_within_a_second(service: Service) -> None:
    alice = service.client()
    assert alice.get("/v1/jobs").status_code == 200
    service.keys.revoke(service.alice_id)  # as another process would
    begun = time.monotonic()
    while alice.get("/v1/jobs").status_code == 200:
        assert time.monotonic() - begun < 1.5
        time.sleep(0.02)


def test_scopes_say_what_a_key_may_do(service: Service) -> None:
    _, reading = service.key("reader", ("jobs:read",))
    _, writing = service.key("writer", ("jobs:write",))
    _, watching = service.key("watcher", ("metrics:read",))
    allowed = {reading: {"jobs:read"}, writing: {"jobs:write"}, watching: {"metrics:read"}}
    asked: list[tuple[str, str, str, Any]] = [
        ("GET", "/v1/jobs", "jobs:read", None),
        ("GET", "/v1/documents", "jobs:read", None),
        ("GET", "/v1/uploads", "jobs:read", None),
        ("POST", "/v1/jobs", "jobs:write", BRIEF),
        ("POST", "/v1/jobs/job_x/cancel", "jobs:write", None),
        ("DELETE", "/v1/uploads/upl_x", "jobs:write", None),
        ("GET", "/metrics", "metrics:read", None),
        ("GET", "/v1/keys", "admin", None),
        ("POST", "/v1/keys", "admin", {"name": "x", "scopes": ["admin"]}),
        ("DELETE", f"/v1/keys/{service.alice_id}", "admin", None),
    ]
    for secret, scopes in allowed.items():
        for method, path, scope, body in asked:
            answer = service.client(secret).ask(method, path, json=body)
            if scope in scopes:
                assert answer.status_code != 403, (scopes, method, path)
            else:
                assert problem(answer) == (403, "scope_missing"), (scopes, method, path)
    admin = service.client(service.admin)
    assert {admin.ask(method, path, json=body).status_code for method, path, _, body in asked} <= {200, 201, 202, 404}


def test_a_secret_is_shown_once_and_kept_nowhere(service: Service) -> None:
    admin = service.client(service.admin)
    order = {"name": "newsroom", "scopes": ["jobs:read"], "max_active_jobs": 5}
    made = admin.post("/v1/keys", json=order, headers={"Idempotency-Key": "k"}).json()
    assert made["secret"].startswith("ilk_")
    assert made["secret"].startswith(made["prefix"])
    listed = admin.get("/v1/keys?limit=1").json()["data"][0]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    assert service.client(made["secret"]).get("/v1/jobs").status_code == 200
    with service.database.reading() as session:
        assert session.scalars(select(IdempotencyRow)).all() == []
        assert made["secret"][4:] not in repr(session.execute(select(ApiKeyRow.__table__)).all())  # type: ignore[arg-type]
    service.database.close()
    files = b"".join(path.read_bytes() for path in service.settings.home.glob("jobs.sqlite*"))
    assert made["secret"].encode() not in files


@pytest.mark.parametrize(
    "order",
    [
        {"name": "", "scopes": ["admin"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"scopes": ["admin"]},
    ],
)
def test_a_wrong_order_for_a_key_is_refused(service: Service, order: dict[str, Any]) -> None:
    assert service.client(service.admin).post("/v1/keys", json=order).status_code == 422


def test_the_first_key_is_made_once_and_again_when_none_is_left(service: Service) -> None:
    assert service.admin.startswith("ilk_")
    assert prepare(service.database) is None
    admin = service.client(service.admin)
    for key in admin.get("/v1/keys").json()["data"]:
        if "admin" in key["scopes"]:
            admin.delete(f"/v1/keys/{key['id']}")
    again = prepare(service.database)
    assert again is not None
    assert again != service.admin
    assert service.client(again).get("/v1/keys").status_code == 200


def test_requests_over_the_rate_are_told_when_to_come_again(service: Service) -> None:
    _, slow = service.key("slow", requests_per_minute=3)
    client = service.client(slow)
    answers = [client.get("/v1/jobs") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["RateLimit"].partition(";t=")[0] for answer in answers] == [
        f'"requests";r={left}' for left in (2, 1, 0, 0)
    ]
    assert answers[0].headers["RateLimit-Policy"] == '"requests";q=3;w=60'
    assert problem(answers[3]) == (429, "requests_too_many")
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 20
    assert service.client().get("/v1/jobs").status_code == 200  # others are not held up


def test_who_tries_keys_is_slowed_down(make_service: Callable[..., Service]) -> None:
    service = make_service(wrong_keys_per_minute=5)
    wrong = service.client("ilk_" + "a" * 43)
    assert [wrong.get("/v1/jobs").status_code for _ in range(7)] == [401] * 5 + [429] * 2
    assert service.client().get("/v1/jobs").status_code == 200  # behind a proxy everybody has that address


def test_buckets_refill_evenly_and_are_bounded() -> None:
    now = [0.0]
    rates = Rates(time_s=lambda: now[0])
    assert [rates.ask("a", 60).granted for _ in range(61)] == [True] * 60 + [False]
    assert rates.ask("a", 60).wait_s == 1
    now[0] += 2.0
    assert [rates.ask("a", 60).granted for _ in range(3)] == [True, True, False]
    for number in range(20_000):
        rates.ask(str(number), 60)
    assert len(rates._buckets) == 10_000
