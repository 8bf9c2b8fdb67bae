"""The example of quotas and usage over a service of real processes: what real workers do is in the ledger."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from examples.service.share_service import main
from interleaf import Client
from tests.api.service import Service

TIDES = Path(__file__).parents[2] / "examples" / "tides" / "brief.yaml"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_key_orders_until_its_day_is_used_up(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INTERLEAF_API_KEY", service.admin)
    made = main(TIDES)
    said = capsys.readouterr().out
    assert said.startswith("succeeded\nsucceeded\n2 of 2 jobs are used; there is room again at "), said
    assert "max_jobs_per_day: 8 left" in said
    told = re.search(r": 2 jobs, ([\d.]+) s of work, ([\d,]+) bytes of files", said)
    assert told is not None and float(told[1]) > 0
    with Client() as admin:
        usage = admin.usage(key_id=made)
    with service.database.reading():
        jobs = service.jobs.list(made).jobs
    files = service.app.state.door.pieces.artifacts_of([job.id for job in jobs], made)
    assert (usage.total.jobs, usage.total.ended, usage.total.failed) == (2, 2, 0)
    assert usage.total.seconds == pytest.approx(sum(job.seconds_used for job in jobs), abs=0.01)
    assert usage.total.bytes == sum(file.bytes for of_job in files.values() for file in of_job) > 100_000
    assert usage.today.free_at > datetime.now(UTC)
