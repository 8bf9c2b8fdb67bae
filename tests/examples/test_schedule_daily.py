"""The example of schedules over a service of real processes; and a schedule whose time comes while they run."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.service.schedule_daily import main
from interleaf import Client
from tests.api.service import Service

TIDES = Path(__file__).parents[2] / "examples" / "tides" / "brief.yaml"
NOTE = "The moon pulls the sea, and the sea rises twice a day. Spring tides come at new moon and at full moon."
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_schedule_is_made_run_now_and_its_time_comes(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = main(TIDES, tmp_path / "out")
    today = datetime.now(UTC)
    told = capsys.readouterr().out
    assert told.count("due ") == 5 and "07:30" in told
    assert "Tides for Brest" in told and "run 1: ordered, job_" in told
    html = page.read_text(encoding="utf-8")
    assert "Tides for Brest" in html and str(today.year) in html and "<figure" in html

    with Client() as client:
        (made,) = client.schedules.list().data
        assert made.paused_at is not None and made.run_count == 1
        # And one whose time comes: beat orders it, a worker makes it, beat publishes it.
        at = datetime.now(UTC) + timedelta(seconds=2)
        brief = {"instruction": "Say what the tide is.", "sources": [{"text": NOTE, "name": "tides.md"}]}
        once = client.schedules.create("Once", brief, at=at, publish_after_s=1)
        deadline = time.monotonic() + 90
        while not (runs := client.schedules.runs(once).data):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (run,) = runs
        assert (run.outcome, run.by_hand, run.due_at, run.number) == ("ordered", False, at, 1)
        assert run.job_id is not None
        document = client.jobs.get(run.job_id).wait(120).document()
        while document.published_at is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
            document = client.documents.get(document.id)
        assert document.publish_at is None and document.published_at >= at + timedelta(seconds=1)
        assert client.schedules.get(once).next_times == () and client.schedules.get(once).next_due_at is None
