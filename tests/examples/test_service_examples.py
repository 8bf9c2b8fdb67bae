"""The examples that submit and wait and that follow the events, and the command line, over a service of real
processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from examples.service import follow_events, submit_and_wait
from interleaf import Client
from interleaf.cli.app import main as interleaf
from tests.api.service import Service

TIDES = Path(__file__).parents[2] / "examples" / "tides" / "brief.yaml"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_submitted_waited_for_followed_and_estimated(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = submit_and_wait.main(TIDES, tmp_path / "out")
    assert {path.name for path in files} == {"article.json", "article.html", "article.md"}
    assert "<figure" in (tmp_path / "out" / "article.html").read_text(encoding="utf-8")
    assert "by 0 earlier jobs" in capsys.readouterr().out

    # The command line gives the same piece, under the names that it has in process.
    monkeypatch.setattr(sys, "argv", ["interleaf", "compose", str(TIDES), "--out", str(tmp_path / "cli")])
    with pytest.raises(SystemExit) as ended:
        interleaf()
    assert not ended.value.code
    said = capsys.readouterr()
    assert [Path(line).name for line in said.out.splitlines()] == ["article.json", "article.html", "article.zip"]
    for stage in ("read", "plan", "draft", "choose"):
        assert f"{stage}: " in said.err, said.err
    assert (tmp_path / "cli" / "article.html").read_bytes() == (tmp_path / "out" / "article.html").read_bytes()

    with Client() as client:
        job = client.jobs.create(TIDES)
        position = tmp_path / "position.txt"
        # Stopped in the middle; the next start tells the rest.
        for event in job.events():
            position.write_text(str(event.id))
            if event.name == "stage.started":
                break
        told_before = int(position.read_text())
        assert follow_events.main(job.id, position) == "succeeded"
        ids = [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
        last = job.refresh().record.last_event_id
        assert ids == list(range(told_before + 1, last + 1))
        assert follow_events.main(job.id, position) == "succeeded", "at once: nothing is left to tell"

        found = client.estimate(TIDES)
        assert (found.basis, found.basis_of) == (3, "own")
        assert found.seconds.error is not None
        assert found.seconds.low <= found.seconds.likely <= found.seconds.high
        assert found.pictures.likely > 0
        events = list(job.events())
        news = {event.name: event.data for event in events}
        article = job.document().article
        headings = {block.text for block in article.blocks if block.type == "heading"}
        planned = {section["heading"] for section in news["outline.ready"]["outline"]["sections"] if section["heading"]}
        assert len(planned) > 2
        assert planned <= headings
        drafted = {event.data.get("text") for event in events if event.name == "block.completed"}
        assert {block.text for block in article.blocks if block.type == "paragraph"} <= drafted
        assert len(news["image.selected"]["pictures"]) == len(article.figures)
        assert news["image.selected"]["pictures"][0]["reason"]
        report = job.record.result.report if job.record.result is not None else None
        assert report is not None
        assert report["pictures_placed"] > 0
        assert report["writer"] == "extractive"
