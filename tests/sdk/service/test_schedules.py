"""Schedules through the client: made with their files, changed by version, run now; sync and async; lost answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from interleaf import AsyncClient, Client
from interleaf.errors import InvalidBrief, InvalidRequest, ObjectUnknown, RequestRefused, SourceUnreadable, VersionStale
from tests.api.service import BRIEF, Service
from tests.sdk.faulty_transport import QUICK, Cut, Faulty

DAILY = BRIEF | {"instruction": "The tide of {{ date }}"}


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with service.served() as url:
        yield url


@pytest.fixture
def client(service: Service, address: str) -> Iterator[Client]:
    with Client(address, service.alice, retrying=QUICK) as opened:
        yield opened


def test_a_schedule_from_its_making_to_its_end(service: Service, client: Client) -> None:
    times = client.schedules.preview(cron="30 7 * * *", time_zone="Asia/Tokyo", count=2)
    made = client.schedules.create("Tides", DAILY, cron="30 7 * * *", time_zone="Asia/Tokyo", publish_after_s=60)
    assert made.next_times[:2] == times and made.next_times[0].utcoffset() == timedelta(hours=9)
    assert client.schedules.get(made) == made == client.schedules.get(made.id)
    assert [line.id for line in client.schedules.list().data] == [made.id]
    paused = client.schedules.pause(made)
    assert paused.next_times == () and client.schedules.resume(paused).version == 3
    job = client.schedules.trigger(made)
    assert job.record.metadata == {"schedule": made.id, "number": "1"}
    service.finish(job.id)
    assert job.wait(20).state == "succeeded"
    (run,) = client.schedules.runs(made).data
    assert (run.outcome, run.by_hand, run.job_id) == ("ordered", True, job.id)
    assert [one.id for one in client.schedules.each_run(made)] == [run.id]
    client.schedules.delete(made)
    with pytest.raises(ObjectUnknown):
        client.schedules.get(made)


def test_a_change_is_of_what_was_read(client: Client) -> None:
    made = client.schedules.create("Tides", DAILY, cron="30 7 * * *")
    changed = client.schedules.update(made, name="Evening tides", cron="0 19 * * *", overlap="queue")
    assert (changed.version, changed.name, changed.overlap) == (2, "Evening tides", "queue")
    with pytest.raises(VersionStale):
        client.schedules.update(made, name="Lost")
    assert client.schedules.update(made.id, name="As it is now").version == 3
    at = datetime.now(UTC) + timedelta(days=1)
    once = client.schedules.update(made.id, cron=None, at=at)
    assert (once.cron, once.at) == (None, at)
    with pytest.raises(InvalidRequest, match="colour"):
        client.schedules.update(once, colour="red")
    with pytest.raises(RequestRefused, match="overlap"):
        client.schedules.update(once, overlap="both")


def test_what_is_wrong_is_named_as_in_process(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidBrief) as refused:
        client.schedules.create("x", DAILY | {"seed": -1}, cron="* * * * *")
    assert refused.value.thing == "brief.seed"
    with pytest.raises(InvalidRequest) as unknown:
        client.schedules.create("x", {"instruction": "{{ town }}"}, cron="* * * * *")
    assert unknown.value.thing == "brief.instruction"
    with pytest.raises(SourceUnreadable):
        client.schedules.create("x", {"instruction": "x", "sources": ["nowhere.md"]}, cron="* * * * *", base=tmp_path)
    assert client.schedules.list().data == ()


def test_files_of_a_brief_with_placeholders_are_sent(client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for name in ("a.md", "b.md"):
        (tmp_path / "notes" / name).write_text(f"The tide {name}.", encoding="utf-8")
    (tmp_path / "brief.yaml").write_text(
        "instruction: The tide of {{ date }}\nlength_words: '{{ words }}'\n"
        "sources:\n  - notes\n  - text: 'On {{ weekday }} the sea comes.'\n  - '{{ file }}'\n",
        encoding="utf-8",
    )
    extra = client.uploads.create(b"More of the tide.", "more.md")
    made = client.schedules.create(
        "Tides", tmp_path / "brief.yaml", cron="30 7 * * *", variables={"words": [100, 200], "file": extra.reference}
    )
    paths = [one if isinstance(one, str) else one.get("path") for one in made.brief["sources"]]
    assert [path is not None and path.startswith("upload:") for path in paths] == [True, True, False, False]
    assert made.brief["length_words"] == "{{ words }}"
    brief = client.schedules.trigger(made).brief()
    assert brief.length_words == 100 and len(brief.sources) == 4 and brief.sources[3].path == extra.reference
    assert client.uploads.get(extra.id).expires_at is None


def test_a_change_whose_answer_was_lost_is_made_once(service: Service, address: str) -> None:
    faulty = Faulty(Cut(None), concerns="PATCH")
    with Client(address, service.alice, retrying=QUICK, transport=faulty) as client:
        made = client.schedules.create("Tides", DAILY, cron="30 7 * * *")
        at = datetime(2100, 1, 1, 8, tzinfo=UTC)
        changed = client.schedules.update(made, name="Once", cron=None, at=at)
        assert (changed.version, changed.name, changed.at) == (2, "Once", at)
        assert [request.method for request in faulty.seen].count("PATCH") == 2
        # Somebody else's change is not taken for one's own.
        other = Client(address, service.alice, retrying=QUICK)
        other.schedules.update(changed, name="Theirs")
        faulty.faults = [Cut(None)]
        with pytest.raises(VersionStale):
            client.schedules.update(changed, name="Mine")
        other.close()


def test_a_run_by_hand_whose_answer_was_lost_is_one_run(service: Service, address: str) -> None:
    faulty = Faulty(Cut(None), Cut(5), concerns="/trigger")
    with Client(address, service.alice, retrying=QUICK, transport=faulty) as client:
        made = client.schedules.create("Tides", DAILY, cron="30 7 * * *")
        job = client.schedules.trigger(made)
        assert [run.job_id for run in client.schedules.runs(made).data] == [job.id]


def test_with_an_event_loop(service: Service, address: str) -> None:
    async def use() -> None:
        async with AsyncClient(address, service.alice, retrying=QUICK) as client:
            assert len(await client.schedules.preview(cron="0 * * * *")) == 5
            made = await client.schedules.create("Tides", DAILY, cron="0 * * * *")
            changed = await client.schedules.update(made, jitter_s=30)
            assert (await client.schedules.pause(changed)).paused_at is not None
            assert (await client.schedules.resume(changed)).paused_at is None
            jobs = [await client.schedules.trigger(made) for _ in range(3)]
            seen = [run.job_id async for run in client.schedules.each_run(made)]
            assert seen == [job.id for job in reversed(jobs)]
            assert len((await client.schedules.runs(made, limit=2)).data) == 2
            assert [one.id for one in (await client.schedules.list()).data] == [made.id]
            assert (await client.schedules.get(made)).run_count == 3
            await client.schedules.delete(made)

    anyio.run(use)
