"""Job events over a real server: gapless by id over any number of broken connections, alive, and without harm to the
job."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.api.service import Service, problem
from workers.store.events import JobEvents

Frame = tuple[int, str, dict[str, Any]]
SSE = {"Accept": "text/event-stream"}


def frames(lines: Iterator[str]) -> Iterator[Frame]:
    """The events of a stream; comments come as (0, "comment", {})."""
    said: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield 0, "comment", {}
        elif line:
            name, _, value = line.partition(": ")
            said[name] = value
        elif "event" in said:
            yield int(said["id"]), said["event"], json.loads(said["data"])
            said = {}


@contextmanager
def followed(service: Service, base: str, job_id: str, last: int | None = None) -> Iterator[Iterator[Frame]]:
    headers = service.headers() | SSE | ({} if last is None else {"Last-Event-ID": str(last)})
    with httpx.stream("GET", f"{base}/v1/jobs/{job_id}/events", headers=headers, timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield frames(answer.iter_lines())


def test_a_reader_that_is_cut_off_again_and_again_misses_nothing(service: Service) -> None:
    job = service.create()
    claim = service.claim(job.id)

    def work() -> None:
        for number in range(60):
            service.leases.note(claim, "block.completed", {"number": number, "text": "a\n\nid: 9\nevent: forged\n\n"})
            time.sleep(0.005)
        service.leases.finish(claim, "succeeded", result={})

    seen: list[Frame] = []
    with service.served() as base:
        thread = threading.Thread(target=work)
        thread.start()
        while not seen or not seen[-1][1].startswith("job.succeeded"):
            with followed(service, base, job.id, seen[-1][0] if seen else None) as events:
                for _, event in zip(range(7), events, strict=False):
                    seen.append(event)
        thread.join()
    assert [event[0] for event in seen] == list(range(1, 64))
    assert [event[2]["data"]["number"] for event in seen if event[1] == "block.completed"] == list(range(60))
    assert {event[1] for event in seen} == {"job.queued", "job.started", "block.completed", "job.succeeded"}
    assert all(event[2]["id"] == event[0] for event in seen)


def test_a_stream_ends_with_the_job_and_leaving_it_does_not_touch_the_job(service: Service) -> None:
    job = service.create()
    with service.served() as base:
        with followed(service, base, job.id) as events:
            assert next(events)[1] == "job.queued"
        assert service.jobs.get(job.id, service.alice_id).state == "queued"
        service.jobs.cancel(job.id, service.alice_id)
        with followed(service, base, job.id) as events:
            assert [event[1] for event in events] == ["job.queued", "job.canceled"]


def test_events_that_are_no_longer_kept_are_told_as_a_gap(service: Service) -> None:
    job = service.create()
    service.finish(job.id)
    JobEvents(service.database).prune(datetime.now(UTC) + timedelta(days=1))
    listed = service.client().get(f"/v1/jobs/{job.id}/events").json()
    assert (listed["gap_until"], listed["ended"], [event["id"] for event in listed["data"]]) == (3, True, [3])
    with service.served() as base, followed(service, base, job.id) as events:
        gap, last = list(events)
    assert (gap[0], gap[1], gap[2]["first_id"]) == (2, "gap", 3)
    assert last[:2] == (3, "job.succeeded")


def test_a_quiet_stream_shows_that_it_lives_and_ends_when_it_is_old(make_service: Callable[..., Service]) -> None:
    service = make_service(heartbeat_s=0.1, stream_s=0.6)
    job = service.create()
    with service.served() as base, followed(service, base, job.id) as events:
        told = [event[1] for event in events]
    assert told[0] == "job.queued"
    assert told.count("comment") >= 2


def test_a_revoked_key_sees_no_more(make_service: Callable[..., Service]) -> None:
    service = make_service(heartbeat_s=0.1)
    job = service.create()
    with service.served() as base, followed(service, base, job.id) as events:
        next(events)
        service.keys.revoke(service.alice_id)
        begun = time.monotonic()
        assert {event[1] for event in events} <= {"comment"}
        assert time.monotonic() - begun < 10


def test_streams_of_a_key_are_bounded_and_given_back(make_service: Callable[..., Service]) -> None:
    service = make_service(max_streams=2)
    job = service.create()
    at = f"/v1/jobs/{job.id}/events"
    with service.served() as base:
        with followed(service, base, job.id) as one, followed(service, base, job.id) as two:
            assert (next(one)[0], next(two)[0]) == (1, 1)
            third = httpx.get(base + at, headers=service.headers() | SSE)
            assert problem(third) == (429, "requests_too_many")
        until = time.monotonic() + 10
        while service.app.state.door.streams.count:
            assert time.monotonic() < until
            time.sleep(0.02)
        with followed(service, base, job.id) as again:
            assert next(again)[0] == 1


def test_open_streams_do_not_keep_the_service_from_stopping(service: Service) -> None:
    job = service.create()
    with service.served() as base, followed(service, base, job.id) as events:
        next(events)
        begun = time.monotonic()
        threading.Timer(0.2, lambda: setattr(service.app.state.door.streams, "closing", True)).start()
        assert list(events) == []
        assert time.monotonic() - begun < 5


def test_many_readers_of_quiet_jobs_hold_no_connection_of_the_database(service: Service) -> None:
    job = service.create()
    with service.served() as base, httpx.Client(base_url=base, headers=service.headers()) as client:
        streams = [client.stream("GET", f"/v1/jobs/{job.id}/events", headers=SSE, timeout=30) for _ in range(40)]
        for stream in streams:
            stream.__enter__()
        # More readers than the pool has connections; the service answers others all the same.
        assert client.get("/v1/jobs").status_code == 200
        for stream in streams:
            stream.__exit__(None, None, None)


def test_pollers_get_a_list(service: Service) -> None:
    client = service.client()
    job = service.create()
    claim = service.claim(job.id)
    for number in range(5):
        service.leases.note(claim, "log", {"number": number})
    at = f"/v1/jobs/{job.id}/events"
    first = client.get(f"{at}?limit=4").json()
    assert ([event["id"] for event in first["data"]], first["last_id"], first["ended"]) == ([1, 2, 3, 4], 7, False)
    rest = client.get(f"{at}?after=4").json()
    assert [event["id"] for event in rest["data"]] == [5, 6, 7]
    assert client.get(at, headers={"Last-Event-ID": "6"}).json()["data"][0]["id"] == 7
    for wrong in ("?after=8", "?after=-1", "?limit=0", "?limit=1001", "?after=99999999999999999999"):
        assert problem(client.get(at + wrong)) == (422, "invalid_request"), wrong
    assert problem(client.get(at, headers={"Last-Event-ID": "six"})) == (422, "invalid_request")
