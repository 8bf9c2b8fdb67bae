"""Events of a job through connections that break anywhere: each event once, in order, to the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interleaf import AsyncClient, Client
from interleaf.errors import JobUnknown, ServiceAway, ServiceError
from interleaf.service.sse import Frame, FrameParser
from tests.api.service import Service
from tests.sdk.faulty_transport import QUICK, Cut, Faulty, busy
from workers.store.tables import JobEventRow

EVENTS = "/events"


def busy_job(service: Service, notes: int = 20) -> str:
    """A job that has ended after some notes."""
    job = service.create()
    claim = service.claim(job.id)
    for number in range(notes):
        service.leases.note(claim, "block.completed", {"number": number, "text": "Flüsse\n\nund Meere"})
    service.leases.finish(claim, "succeeded", result={"document_id": None})
    return job.id


@pytest.mark.parametrize("step", [3, 64, 701])
def test_cut_anywhere_nothing_is_lost_or_repeated(service: Service, step: int) -> None:
    job_id = busy_job(service)
    with service.served() as url:
        faulty = Faulty(*(Cut(n * step) for n in range(1, 12)), busy(), httpx.ConnectError("away"), concerns=EVENTS)
        with Client(url, service.alice, retrying=QUICK, transport=faulty) as client:
            events = list(client.jobs.get(job_id).events())
        assert [event.id for event in events] == list(range(1, 24))
        assert (events[0].name, events[-1].name) == ("job.queued", "job.succeeded")
        assert events[5].data["text"] == "Flüsse\n\nund Meere"
        positions = [int(one.headers.get("Last-Event-ID", 0)) for one in faulty.seen if EVENTS in one.url.path]
        assert positions == sorted(positions)
        assert len(positions) > 2


def test_streams_that_the_service_ends_are_taken_up_again(make_service: Callable[..., Service]) -> None:
    service = make_service(stream_s=0.1)
    job = service.create()

    def work() -> None:
        claim = service.claim(job.id)
        for number in range(6):
            time.sleep(0.1)
            service.leases.note(claim, "block.completed", {"number": number})
        service.leases.finish(claim, "succeeded", result={"document_id": None})

    with service.served() as url, Client(url, service.alice, retrying=QUICK) as client:
        worker = threading.Thread(target=work)
        worker.start()
        events = list(client.jobs.get(job.id).events())
        worker.join()
        assert [event.id for event in events] == list(range(1, 10))


def test_from_a_position_and_after_the_end(service: Service) -> None:
    job_id = busy_job(service)
    with service.served() as url, Client(url, service.alice, retrying=QUICK) as client:
        job = client.jobs.get(job_id)
        assert [event.id for event in job.events(after=20)] == [21, 22, 23]
        assert list(job.events(after=23)) == []
        with pytest.raises(JobUnknown):
            list(client.jobs.get(job_id).delete() or job.events())


def test_a_gap_is_shown(service: Service) -> None:
    job_id = busy_job(service)
    with service.database.transaction() as session:
        session.query(JobEventRow).filter(JobEventRow.job_id == job_id, JobEventRow.id < 10).delete()
    with service.served() as url, Client(url, service.alice, retrying=QUICK) as client:
        events = list(client.jobs.get(job_id).events())
    assert (events[0].name, events[0].data["first_id"]) == ("gap", 10)
    assert [event.id for event in events[1:]] == list(range(10, 24))


def test_leaving_closes_the_stream_and_not_the_job(service: Service) -> None:
    job = service.create()
    with service.served() as url, Client(url, service.alice, retrying=QUICK) as client:
        events = client.jobs.get(job.id).events()
        assert next(events).name == "job.queued"
        assert service.app.state.door.streams.count == 1
        events.close()  # type: ignore[attr-defined]
        until = time.monotonic() + 10
        while service.app.state.door.streams.count and time.monotonic() < until:
            time.sleep(0.02)
        assert service.app.state.door.streams.count == 0
        assert client.jobs.get(job.id).state == "queued"


def test_a_service_that_stays_away_is_given_up(service: Service) -> None:
    job_id = busy_job(service)
    with service.served() as url:
        faulty = Faulty(*(httpx.ConnectError("away") for _ in range(10_000)), concerns=EVENTS)
        patient = type(QUICK)(first_s=0.01, most_s=0.05, away_s=0.5)
        with Client(url, service.alice, retrying=patient, transport=faulty) as client, pytest.raises(ServiceAway):
            list(client.jobs.get(job_id).events())


def test_with_an_event_loop(service: Service) -> None:
    job_id = busy_job(service)

    async def follow(url: str) -> list[int]:
        faulty = Faulty(Cut(5), Cut(300), busy(), Cut(900), Cut(None), concerns=EVENTS)
        async with AsyncClient(url, service.alice, retrying=QUICK, transport=faulty) as client:
            job = await client.jobs.get(job_id)
            return [event.id async for event in job.events()]

    with service.served() as url:
        assert anyio.run(follow, url) == list(range(1, 24))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**9), st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), st.booleans()
        )
    ),
    st.lists(st.integers(1, 40)),
    st.sampled_from(["\n", "\r\n"]),
)
def test_pieces_of_any_size_are_the_same_events(
    events: list[tuple[int, str, bool]], sizes: list[int], end: str
) -> None:
    text = "".join(
        f"{': still here' + end + end if beat else ''}id: {number}{end}event: a.b{end}data: {data}{end}{end}"
        for number, data, beat in events
    ).encode()
    parser, found = FrameParser(), []
    for size in [*sizes, len(text)]:
        found += parser.feed(text[:size])
        text = text[size:]
    assert found == [Frame(str(number), "a.b", data) for number, data, _ in events]
    assert parser.alive == bool(events)


def test_an_event_without_end_is_refused() -> None:
    parser = FrameParser()
    with pytest.raises(ServiceError, match="longer"):
        for _ in range(20):
            parser.feed(b"data: " + b"x" * 2**20)
