"""Batches through the client: made with their files, waited for, their results read, tried again; sync and async."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from interleaf import AsyncClient, Client
from interleaf.errors import InvalidRequest, JobActive, ObjectUnknown, WorkerLost
from interleaf.service.batch_records import BatchRecord
from tests.api.service import BRIEF, Service
from tests.sdk.faulty_transport import QUICK, Cut, Faulty

TIDES = BRIEF | {"instruction": "The tide at {{ harbour }}"}
HARBOURS = {"brest": {"harbour": "Brest"}, "cork": {"harbour": "Cork"}}


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with service.served() as url:
        yield url


@pytest.fixture
def client(service: Service, address: str) -> Iterator[Client]:
    with Client(address, service.alice, retrying=QUICK) as opened:
        yield opened


def end_all(service: Service, client: Client, batch: BatchRecord, *, but: str = "") -> None:
    """What workers do; the item `but` fails."""
    for item in client.batches.each_item(batch):
        assert item.job_id is not None
        if item.custom_id == but:
            service.leases.finish(service.claim(item.job_id), "failed", error=WorkerLost(item.job_id, "stopped."))
        else:
            report = {"sentences": 10, "sentences_with_span": len(item.custom_id)}
            result = {"document_id": None, "report": report}
            service.leases.finish(service.claim(item.job_id), "succeeded", result=result)


def test_a_batch_from_its_making_to_its_end(service: Service, client: Client) -> None:
    made = client.batches.create(TIDES, HARBOURS, name="Tides", metadata={"team": "sea"})
    assert (made.kind, made.item_count, made.name, made.metadata) == ("sets", 2, "Tides", {"team": "sea"})
    assert client.batches.get(made.id).counts == {"queued": 2}
    assert [line.id for line in client.batches.list().data] == [made.id]
    with pytest.raises(JobActive):
        client.batches.wait(made, timeout_s=0)
    end_all(service, client, made, but="cork")
    ended = client.batches.wait(made, timeout_s=20)
    assert ended.counts == {"succeeded": 1, "failed": 1}
    brest, cork = client.batches.results(made)
    assert (brest.custom_id, brest.state, cork.state) == ("brest", "succeeded", "failed")
    assert brest.score is not None and brest.score.grounding == 0.5
    assert cork.error is not None and cork.error.code == "worker_lost" and cork.score is None
    assert client.batches.retry(made).counts == {"succeeded": 1, "waiting": 1}
    assert client.batches.cancel(made).counts == {"succeeded": 1, "canceled": 1}
    client.batches.delete(made)
    with pytest.raises(ObjectUnknown):
        client.batches.get(made)


def test_variants_come_best_first(service: Service, client: Client) -> None:
    made = client.batches.variants(BRIEF, 3, first_seed=9)
    end_all(service, client, made)
    found = list(client.batches.results(made, ranked=True))
    assert [one.custom_id for one in found] == ["seed-10", "seed-11", "seed-9"]
    totals = [one.score.total for one in found if one.score is not None]
    assert len(totals) == 3 and totals == sorted(totals, reverse=True)


def test_an_item_that_is_wrong_says_so_and_a_batch_that_is_wrong_is_refused(client: Client) -> None:
    items = [{"custom_id": "a", "variables": {"harbour": "Brest"}}, {"custom_id": "b"}]
    made = client.batches.create(TIDES, items)
    assert made.counts == {"waiting": 1, "refused": 1}
    error = client.batches.items(made).data[1].error
    assert error is not None and "harbour" in error.detail
    with pytest.raises(InvalidRequest) as refused:
        client.batches.create(TIDES, [*items, items[0]])
    assert "custom_id" in str(refused.value)


def test_files_of_the_brief_are_sent(client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("The tide is the rise of the sea.", encoding="utf-8")
    made = client.batches.create({"instruction": "x {{ number }}", "sources": ["notes.md"]}, {"a": {}}, base=tmp_path)
    (upload,) = client.uploads.list().data
    assert made.brief["sources"] == [{"path": f"upload:{upload.id}", "name": "notes.md"}]
    assert made.counts == {"waiting": 1}


def test_results_go_on_where_a_connection_broke_off(service: Service, address: str) -> None:
    cut = Faulty(httpx.Response(503), Cut(900), Cut(2_500), concerns="/results")
    with Client(address, service.alice, retrying=QUICK, transport=cut) as client:
        made = client.batches.create(TIDES, {str(n): {"harbour": "x"} for n in range(20)})
        assert [one.custom_id for one in client.batches.results(made)] == [str(n) for n in range(20)]
        assert len([one for one in cut.seen if one.url.path.endswith("/results")]) == 4


def test_with_an_event_loop(service: Service, address: str) -> None:
    async def use() -> None:
        async with AsyncClient(address, service.alice, retrying=QUICK) as client:
            made = await client.batches.create(TIDES, HARBOURS)
            assert [item.custom_id async for item in client.batches.each_item(made)] == ["brest", "cork"]
            await client.batches.cancel(made)
            ended = await client.batches.wait(made, timeout_s=20)
            assert ended.counts == {"canceled": 2}
            assert [one.state async for one in client.batches.results(made)] == ["canceled", "canceled"]

    anyio.run(use)
