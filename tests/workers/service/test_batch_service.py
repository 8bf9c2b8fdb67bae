"""A batch through a whole service of real processes: every item comes to a final state, the results are complete lines,
and its end is told once, by a signed message and by whoever asks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.workers.job_service import NOTES
from tests.workers.receiver import receiving
from tests.workers.service.served import Served, wait_for

PROGRAM = [sys.executable, str(Path(__file__).with_name("paced_service.py")), "serve"]
COUNT = 20
REFUSED = 7
"""The item without the value that its brief wants."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    # A key may have so few jobs at a time that the batch needs several rounds, each when there is room again.
    made = Served(tmp_path / "data", PROGRAM, lease_s=30.0, upkeep_s=0.3, outbound_private=True, key_active_jobs=12)
    made.start()
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_batch_comes_to_its_end_and_tells_of_it(service: Served, tmp_path: Path) -> None:
    notes = tmp_path / "tides.md"
    notes.write_text(NOTES, encoding="utf-8")
    brief = {
        "instruction": "The tide at {{ harbour }}",
        "title": "Tides at {{ harbour }}",
        "sources": [str(notes)],
        "formats": ["html"],
    }
    items = [
        {"custom_id": f"h{n}", "variables": {} if n == REFUSED else {"harbour": f"Harbour {n}"}}
        for n in range(1, COUNT + 1)
    ]
    with receiving() as receiver, service.client() as client:
        made = client.webhooks.create(receiver.url, events=["batch.ended"])
        batch = client.batches.create(brief, items, name="harbours")
        (upload,) = client.uploads.list().data
        assert upload.expires_at is None, "what the batch needs does not expire"
        ended = client.batches.wait(batch, timeout_s=180)
        assert ended.counts == {"succeeded": COUNT - 1, "refused": 1}, service.logs()

        # Word for word what a client without our library reads.
        lines = httpx.get(
            f"{service.url}/v1/batches/{batch.id}/results",
            headers={"Authorization": f"Bearer {service.key}"},
            timeout=30,
        ).text
        assert lines.endswith("\n")
        results = [json.loads(line) for line in lines.splitlines()]
        assert [one["custom_id"] for one in results] == [item["custom_id"] for item in items]
        for one in results:
            if one["number"] == REFUSED:
                assert (one["state"], one["document_id"], one["artifacts"]) == ("refused", None, [])
                assert one["error"]["code"] == "invalid_request"
                continue
            assert (one["state"], one["error"]) == ("succeeded", None)
            assert one["report"]["words"] > 0 and one["score"]["total"] > 0
            assert {file["format"] for file in one["artifacts"]} == {"html", "json"}
            assert client.documents.get(one["document_id"]).title == f"Tides at Harbour {one['number']}"
        assert len({one["document_id"] for one in results}) == COUNT

        wait_for(lambda: client.batches.get(batch).ended_at is not None, service.logs)
        (heard,) = receiver.hears(1)
        message = heard.message(made.secret)
        now = client.batches.get(batch)
        assert (message.type, message.data["id"], message.at) == ("batch.ended", batch.id, now.ended_at)
        assert message.data["counts"] == now.counts == ended.counts
        (delivery,) = client.webhook_deliveries.list().data
        assert (delivery.id, delivery.event) == (heard.id, "batch.ended")
        (upload,) = client.uploads.list().data
        assert upload.expires_at is not None, "nothing needs it any more"
        client.webhook_deliveries.replay(delivery.id)
        first, second = receiver.hears(2)
        assert (second.id, second.body) == (first.id, first.body)
