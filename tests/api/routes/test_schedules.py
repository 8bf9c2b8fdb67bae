"""Schedules over REST: made, looked at, changed by their version, run now, paged; whose they are; what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from api.app import create_app
from tests.api.service import BRIEF, Client, Service, problem
from workers.store.jobs import Jobs
from workers.store.schedule_ticks import ScheduleTicks
from workers.store.tables import ScheduleRow

UNKNOWN = "sch_01kaj5v1c8m2n4p6q8r0s2t4v6"
PATH = "/v1/schedules"
DAILY: dict[str, Any] = {
    "name": "The tide of the day",
    "cron": "30 7 * * *",
    "time_zone": "Europe/Berlin",
    "brief": {**BRIEF, "instruction": "The tide at {{ harbour }} on {{ date }}, {{ number }}"},
    "variables": {"harbour": ["Brest", "Cork"]},
}


def make(client: Client, **fields: Any) -> dict[str, Any]:
    answer = client.post(PATH, json=DAILY | fields)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{PATH}/{answer.json()['id']}"
    made: dict[str, Any] = answer.json()
    return made


def change(client: Client, schedule_id: str, said: Any, match: str | None) -> Any:
    headers = {} if match is None else {"If-Match": match}
    return client.ask("PATCH", f"{PATH}/{schedule_id}", json=said, headers=headers)


def tick(service: Service, later: timedelta) -> None:
    """What a beat does that much later."""

    def clock() -> datetime:
        return datetime.now(UTC) + later

    jobs = Jobs(service.database, clock=clock)
    ScheduleTicks(service.database, jobs, max_active=100, max_queued=100, clock=clock).tick()


def test_a_schedule_is_made_looked_at_and_listed(service: Service) -> None:
    client = service.client()
    made = make(client)
    assert (made["version"], made["run_count"], made["overlap"], made["catch_up_s"]) == (1, 0, "skip", 3600)
    assert made["brief"]["instruction"].startswith("The tide at {{ harbour }}"), "as it was given"
    times = [datetime.fromisoformat(time) for time in made["next_times"]]
    assert len(times) == 5 and all((time.hour, time.minute) == (7, 30) for time in times)
    assert datetime.fromisoformat(made["next_due_at"]) == times[0] > datetime.now(UTC)
    seen = client.get(f"{PATH}/{made['id']}")
    assert seen.json() == made
    assert seen.headers["ETag"].startswith('"1-')
    other = make(client, name="Once", cron=None, at="2150-01-01T08:00:00+09:00", time_zone="Asia/Tokyo")
    assert other["at"] == "2149-12-31T23:00:00Z" and other["next_times"] == ["2150-01-01T08:00:00+09:00"]
    page = client.get(f"{PATH}?limit=1")
    assert [one["id"] for one in page.json()["data"]] == [other["id"]] and page.json()["has_more"]
    assert 'rel="next"' in page.headers["Link"]
    line = client.get(f"{PATH}?after={other['id']}").json()["data"][0]
    assert line == {name: made[name] for name in line} and "brief" not in line


def test_making_it_again_under_one_key_makes_one(service: Service) -> None:
    client = service.client()
    headers = {"Idempotency-Key": "morning"}
    first = client.post(PATH, json=DAILY, headers=headers)
    again = client.post(PATH, json=DAILY, headers=headers)
    assert again.json() == first.json() and again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["ETag"] == first.headers["ETag"]
    assert len(client.get(PATH).json()["data"]) == 1


@pytest.mark.parametrize(
    ("fields", "code", "pointer"),
    [
        ({"cron": "x"}, "invalid_request", "/cron"),
        ({"cron": "0 0 30 2 *"}, "invalid_request", "/cron"),
        ({"at": "2150-01-01T00:00:00Z"}, "invalid_request", "/cron"),
        ({"cron": None, "at": "2001-01-01T00:00:00Z"}, "invalid_request", "/at"),
        ({"cron": None, "at": "9999-12-31T23:59:59-12:00"}, "invalid_body", "/at"),
        ({"starts_at": "2030-01-01T00:00:00"}, "invalid_body", "/starts_at"),
        ({"time_zone": "Moon/Base"}, "invalid_request", "/time_zone"),
        ({"overlap": "both"}, "invalid_body", "/overlap"),
        ({"catch_up_s": 1}, "invalid_body", "/catch_up_s"),
        ({"name": " "}, "invalid_body", "/name"),
        ({"more": 1}, "invalid_body", "/more"),
        ({"variables": {"Big": "x"}}, "invalid_request", "/variables/Big"),
        ({"variables": {"harbour": [{}]}}, "invalid_request", "/variables/harbour"),
        ({"variables": {}}, "invalid_request", "/brief/instruction"),
        (
            {"brief": {"instruction": "x", "sources": [{"text": "{{ no }}"}]}},
            "invalid_request",
            "/brief/sources/0/text",
        ),
        ({"brief": {"instruction": "x", "sources": ["/etc/passwd"]}}, "invalid_brief", "/brief/sources/0/path"),
        ({"brief": {"instruction": "x", "pictures": ["../x.png"]}}, "invalid_brief", "/brief/pictures/0/path"),
        ({"brief": {"instruction": "x", "libraries": ["none"]}}, "invalid_brief", "/brief/libraries/0"),
        ({"brief": {"instruction": "x", "length_words": "{{ number }}"}}, "invalid_brief", "/brief/length_words"),
    ],
)
def test_what_is_wrong_is_pointed_at(service: Service, fields: dict[str, Any], code: str, pointer: str) -> None:
    answer = service.client().post(PATH, json=DAILY | fields)
    assert problem(answer) == (422, code), answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert service.client().get(PATH).json()["data"] == []


def test_all_fields_of_the_brief_that_are_wrong_are_told(service: Service) -> None:
    answer = service.client().post(PATH, json=DAILY | {"brief": {"seed": -1, "theme": "X"}})
    assert {one["pointer"] for one in answer.json()["errors"]} == {"/brief/instruction", "/brief/seed", "/brief/theme"}


def test_a_brief_that_would_grow_or_is_without_a_floor_is_refused(service: Service) -> None:
    client = service.client()
    hostile = {"brief": {"instruction": "{{a}}" * 200_000}, "variables": {"a": "x" * 20_000}}
    assert problem(client.post(PATH, json=DAILY | hostile)) == (422, "invalid_request")
    deep = '{"name": "x", "cron": "* * * * *", "brief": {"instruction": ' + "[" * 900 + "]" * 900 + "}}"
    answer = client.post(PATH, content=deep, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)


def test_an_upload_that_is_not_there_is_not_taken(service: Service) -> None:
    brief = {"instruction": "x", "sources": ["upload:upl_01kaj5v1c8m2n4p6q8r0s2t4v6"]}
    assert problem(service.client().post(PATH, json=DAILY | {"brief": brief})) == (404, "object_unknown")


def test_an_upload_that_is_named_does_not_expire(service: Service) -> None:
    client = service.client()
    sent = client.post("/v1/uploads", files={"file": ("a.md", b"The tide.")}).json()
    made = make(client, brief={"instruction": "x", "sources": [sent["reference"]]})
    assert client.get(f"/v1/uploads/{sent['id']}").json()["expires_at"] is None
    assert client.delete(f"{PATH}/{made['id']}").status_code == 204
    assert client.get(f"/v1/uploads/{sent['id']}").json()["expires_at"] is not None


def test_a_change_names_the_version_that_it_changes(service: Service) -> None:
    client = service.client()
    made = make(client)
    etag = client.get(f"{PATH}/{made['id']}").headers["ETag"]
    assert problem(change(client, made["id"], {"name": "x"}, None)) == (428, "version_unsaid")
    assert problem(change(client, made["id"], {"name": "x"}, "*")) == (428, "version_unsaid")
    answer = change(client, made["id"], {"name": "Evening", "cron": "0 19 * * *"}, etag)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["version"], answer.json()["name"]) == (2, "Evening")
    assert answer.json()["brief"] == made["brief"], "what is not said stays"
    assert all("T19:00:00" in time for time in answer.json()["next_times"])
    for stale in (etag, '"1"', '"9"', '"x"', "x"):
        assert problem(change(client, made["id"], {"name": "x"}, stale)) == (412, "version_stale")
    assert change(client, made["id"], {"overlap": "queue"}, answer.headers["ETag"]).json()["version"] == 3
    assert change(client, made["id"], {"jitter_s": 5}, 'W/"3"').json()["version"] == 4
    wrong = change(client, made["id"], {"at": "2150-01-01T00:00:00Z"}, '"4"')
    assert wrong.json()["errors"][0]["pointer"] == "/cron"
    once = change(client, made["id"], {"at": "2150-01-01T00:00:00Z", "cron": None}, '"4"')
    assert (once.json()["cron"], once.json()["next_due_at"]) == (None, "2150-01-01T00:00:00Z")
    unknown = change(client, made["id"], {"variables": {}}, '"5"')
    assert unknown.json()["errors"][0]["pointer"] == "/brief/instruction"
    for said in ({}, {"name": None}, {"cron": 5}, {"id": "x"}):
        assert problem(change(client, made["id"], said, '"5"')) == (422, "invalid_body")
    assert client.get(f"{PATH}/{made['id']}").json()["version"] == 5


def test_paused_and_resumed(service: Service) -> None:
    client = service.client()
    made = make(client)
    for _ in range(2):
        paused = client.post(f"{PATH}/{made['id']}/pause").json()
    assert (paused["version"], paused["next_due_at"], paused["next_times"]) == (2, None, [])
    assert paused["paused_at"] is not None
    for _ in range(2):
        resumed = client.post(f"{PATH}/{made['id']}/resume").json()
    assert (resumed["version"], resumed["paused_at"], len(resumed["next_times"])) == (3, None, 5)


def test_run_now_is_a_job_that_is_sent_once(service: Service) -> None:
    client = service.client()
    made = make(client, publish_after_s=60)
    headers = {"Idempotency-Key": "now"}
    first = client.post(f"{PATH}/{made['id']}/trigger", headers=headers)
    again = client.post(f"{PATH}/{made['id']}/trigger", headers=headers)
    assert first.status_code == 202 and again.json() == first.json()
    job = first.json()
    assert first.headers["Location"] == f"/v1/jobs/{job['id']}" and service.sent[0] == job["id"]
    assert job["metadata"] == {"schedule": made["id"], "number": "1"}
    found = client.get(f"/v1/jobs?metadata=schedule:{made['id']}").json()["data"]
    assert [one["id"] for one in found] == [job["id"]]
    asked = client.get(f"/v1/jobs/{job['id']}/brief").json()
    assert asked["instruction"].startswith("The tide at Brest on 20")
    (run,) = client.get(f"{PATH}/{made['id']}").json()["last_runs"]
    assert (run["by_hand"], run["outcome"], run["number"], run["job_id"]) == (True, "ordered", 1, job["id"])
    assert datetime.fromisoformat(run["publish_at"]) - datetime.fromisoformat(run["due_at"]) == timedelta(seconds=60)


def test_a_run_that_was_refused_says_why(service: Service) -> None:
    client = service.client()
    made = make(client, brief={"instruction": "x", "seed": "{{ s }}"}, variables={"s": [1, "no"]}, cron="* * * * *")
    tick(service, timedelta(minutes=1))
    service.finish(client.get(PATH + f"/{made['id']}").json()["last_runs"][0]["job_id"])
    tick(service, timedelta(minutes=2))
    failed = client.get(f"{PATH}/{made['id']}").json()["last_runs"][0]
    assert failed["outcome"] == "failed" and failed["error"]["code"] == "invalid_brief"
    assert "seed" in failed["error"]["detail"]


def test_a_hand_is_told_why_its_run_is_refused(service: Service) -> None:
    client = service.client()
    made = make(client, brief={"instruction": "x", "seed": "{{ s }}"}, variables={"s": [1, "no"]})
    assert client.post(f"{PATH}/{made['id']}/trigger").status_code == 202
    answer = client.post(f"{PATH}/{made['id']}/trigger")
    assert problem(answer) == (422, "invalid_brief")
    assert answer.json()["errors"][0]["pointer"] == "/brief/seed"
    assert len(client.get(f"{PATH}/{made['id']}/runs").json()["data"]) == 1


def test_history_is_paged_by_the_ids_of_runs(service: Service) -> None:
    client = service.client()
    made = make(client)
    for _ in range(5):
        assert client.post(f"{PATH}/{made['id']}/trigger").status_code == 202
    place = f"{PATH}/{made['id']}/runs"
    everything = client.get(place).json()["data"]
    assert [run["number"] for run in everything] == [5, 4, 3, 2, 1]
    page = client.get(f"{place}?limit=2").json()
    assert page["has_more"] and [run["number"] for run in page["data"]] == [5, 4]
    page = client.get(f"{place}?limit=2&after={page['last_id']}").json()
    assert [run["number"] for run in page["data"]] == [3, 2]
    page = client.get(f"{place}?limit=2&before={page['first_id']}").json()
    assert [run["number"] for run in page["data"]] == [5, 4] and not page["has_more"]
    for wrong in ("x", "sch_1", "run_" + "9" * 16 + "s"):
        assert problem(client.get(f"{place}?after={wrong}")) == (422, "invalid_request")


def test_a_preview_tells_times_and_keeps_nothing(service: Service) -> None:
    client = service.client()
    told = client.post(
        f"{PATH}:preview",
        json={"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "starts_at": "2099-03-28T12:00:00Z", "count": 2},
    )
    # The clocks are set forward on the 29th of March 2099: half past two is three o'clock that night.
    assert told.json()["times"] == ["2099-03-29T03:00:00+02:00", "2099-03-30T02:30:00+02:00"]
    answer = client.post(f"{PATH}:preview", json={"cron": "61 * * * *"})
    assert problem(answer) == (422, "invalid_request") and answer.json()["errors"][0]["pointer"] == "/cron"
    assert client.get(PATH).json()["data"] == []


def test_a_schedule_of_another_key_is_not_there(service: Service) -> None:
    made = make(service.client())
    other = service.client(service.bob)
    assert other.get(PATH).json()["data"] == []
    for schedule_id in (made["id"], UNKNOWN, "x", "sch_%00"):
        place = f"{PATH}/{schedule_id}"
        answers = [other.get(place), other.get(f"{place}/runs"), other.delete(place)]
        answers += [other.post(f"{place}/{act}") for act in ("pause", "resume", "trigger")]
        answers.append(change(other, schedule_id, {"name": "x"}, '"1"'))
        assert [problem(answer) for answer in answers] == [(404, "object_unknown")] * 7
    assert service.client().get(f"{PATH}/{made['id']}").status_code == 200


def test_a_key_that_may_only_read_changes_nothing(service: Service) -> None:
    made = make(service.client())
    _, secret = service.key("reader", ("jobs:read",))
    reader = service.client(secret)
    place = f"{PATH}/{made['id']}"
    answers = [reader.post(PATH, json=DAILY), reader.delete(place), change(reader, made["id"], {"name": "x"}, '"1"')]
    answers += [reader.post(f"{place}/{act}") for act in ("pause", "resume", "trigger")]
    assert [problem(answer) for answer in answers] == [(403, "scope_missing")] * 6
    assert reader.get(PATH).status_code == 200


def test_what_is_due_when_it_is_paused_is_sent_by_upkeep(service: Service) -> None:
    """The API orders it, and has nobody who sends its message at once: so it must not count as sent, as a job does
    that was ordered by hand."""
    service.__dict__["app"] = create_app(service.settings, service.database, service.store, send_new=lambda jobs: None)
    client = service.client()
    made = make(client, cron="* * * * *")
    passed = datetime.now(UTC) - timedelta(minutes=1)
    with service.database.transaction() as session:
        session.execute(update(ScheduleRow).values(next_due_at=passed, next_fire_at=passed))
    run = client.post(f"{PATH}/{made['id']}/pause").json()["last_runs"][-1]
    assert run["outcome"] == "ordered"
    assert service.jobs.get(run["job_id"], service.alice_id).dispatched_at is None
    by_hand = client.post(f"{PATH}/{made['id']}/trigger").json()["id"]
    assert service.jobs.get(by_hand, service.alice_id).dispatched_at is not None
