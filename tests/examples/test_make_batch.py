"""The example of batches over a service of real processes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples.service.make_batch import main
from interleaf import Client
from tests.api.service import Service

TIDES = Path(__file__).parents[2] / "examples" / "tides" / "brief.yaml"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_batch_and_variants_are_made(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = main(TIDES, tmp_path / "out")
    told = capsys.readouterr().out
    assert "brest: succeeded" in told and "cork: succeeded" in told
    assert "nowhere: refused" in told and "harbour" in told
    totals = [float(total) for total in re.findall(r"^seed-\d+ ([\d.]+)$", told, re.M)]
    assert len(totals) == 3 and totals == sorted(totals, reverse=True) and totals[-1] > 0
    assert "<figure" in page.read_text(encoding="utf-8")
    with Client() as client:
        titles = {line.title for line in client.documents.list().data}
        assert {"Tides for Brest", "Tides for Cork"} <= titles
        assert all(batch.ended for batch in client.batches.list().data)
