"""`interleaf schedules` as a person and a script meet it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from interleaf.cli.app import main
from interleaf.errors import InvalidRequest, ObjectUnknown
from tests.api.service import Service

Run = Callable[..., str]


@pytest.fixture
def run(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Runs the program; what it printed. `code` is the exit code that is expected."""
    with service.served() as url:
        monkeypatch.setenv("INTERLEAF_SERVER", url)
        monkeypatch.setenv("INTERLEAF_API_KEY", service.alice)
        monkeypatch.setenv("COLUMNS", "200")

        def program(*arguments: str, code: int = 0) -> str:
            monkeypatch.setattr(sys, "argv", ["interleaf", "schedules", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
            said = capsys.readouterr()
            assert int(ended.value.code or 0) == code, said.err
            return said.out + said.err if code else said.out

        yield program


@pytest.fixture
def brief(tmp_path: Path) -> Path:
    (tmp_path / "notes.md").write_text("# Tides\n\nThe moon pulls the sea.\n", encoding="utf-8")
    path = tmp_path / "brief.yaml"
    path.write_text("instruction: The tide at {{ harbour }} on {{ date }}\nsources: [notes.md]\n", encoding="utf-8")
    return path


def test_from_its_making_to_its_end(service: Service, run: Run, brief: Path) -> None:
    made = run(
        "create",
        str(brief),
        "--name",
        "Tides [daily]",
        "--cron",
        "30 7 * * *",
        "--time-zone",
        "Asia/Tokyo",
        "--set",
        "harbour=Brest",
        "--set",
        "harbour=Cork",
        "--overlap",
        "queue",
        "--catch-up",
        "600",
        "--jitter",
        "5",
        "--publish-after",
        "60",
    ).strip()
    listed = run("list")
    assert made in listed and "Tides [daily]" in listed and "30 7 * * * Asia/Tokyo" in listed
    job = run("run", made).strip()
    assert service.jobs.get(job, service.alice_id).metadata["schedule"] == made
    asked = service.jobs.brief(job, service.alice_id)
    assert asked["instruction"].startswith("The tide at Brest on ")
    assert asked["sources"][0]["path"].startswith("upload:"), "its notes went along"
    sheet = run("show", made)
    for said in ("Tides [daily]", "queue", "600 s", "{{ harbour }}", "Brest, Cork", "+0900", "ordered", job, "by hand"):
        assert said in sheet, said
    assert job in run("runs", made)
    assert "version 2" in run("change", made, "--name", "Harbours", "--cron", "0 8 * * *")
    assert "is paused" in run("pause", made)
    assert "paused" in run("list")
    assert "goes on" in run("resume", made)
    assert "is deleted" in run("delete", made)
    assert run("list").strip() == "no schedules"
    assert "no such schedule" in run("show", made, code=ObjectUnknown.exit_code)


def test_for_machines(run: Run, brief: Path) -> None:
    made = json.loads(
        run("create", str(brief), "--name", "x", "--cron", "0 * * * *", "--set", "harbour=Brest", "--json")
    )
    assert made["variables"] == {"harbour": "Brest"}
    assert json.loads(run("show", made["id"], "--json")) == made
    assert [line["id"] for line in json.loads(run("list", "--json"))["schedules"]] == [made["id"]]
    job = json.loads(run("run", made["id"], "--json"))
    page = json.loads(run("runs", made["id"], "--json"))
    assert [line["job_id"] for line in page["runs"]] == [job["id"]] and page["next"] is None
    once = json.loads(run("change", made["id"], "--at", "2100-01-31T08:00+01:00", "--json"))
    assert (once["cron"], once["at"], once["version"]) == (None, "2100-01-31T07:00:00Z", 2)
    assert json.loads(run("pause", made["id"], "--json"))["paused_at"]
    assert json.loads(run("resume", made["id"], "--json"))["paused_at"] is None
    assert json.loads(run("delete", made["id"], "--json")) == {"deleted": made["id"]}


def test_the_next_times_of_a_timetable(run: Run) -> None:
    lines = run("next", "--cron", "30 7 * * *", "--time-zone", "Asia/Tokyo", "--count", "3").splitlines()
    assert len(lines) == 3 and all(line.endswith("07:30 +0900") for line in lines)
    times = json.loads(run("next", "--at", "2100-01-31T08:00Z", "--json"))["times"]
    assert [datetime.fromisoformat(time).year for time in times] == [2100]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--cron", "61 * * * *"), "cron"),
        (("--at", "tomorrow"), "--at"),
        (("--at", "2100-01-31T08:00"), "time zone"),
        (("--cron", "0 * * * *", "--set", "harbour"), "--set"),
        (("--cron", "0 * * * *", "--set", "Bad name=x"), "variables"),
        (("--cron", "0 * * * *", "--overlap", "both"), "overlap"),
        (("--cron", "0 * * * *", "--time-zone", "Moon"), "time_zone"),
        (("--cron", "0 * * * *"), "harbour"),
        ((), "cron"),
    ],
)
def test_what_is_wrong_is_named(run: Run, brief: Path, arguments: tuple[str, ...], said: str) -> None:
    told = run("create", str(brief), "--name", "x", *arguments, code=InvalidRequest.exit_code)
    assert said in told
    assert run("list").strip() == "no schedules"


def test_help_teaches(run: Run) -> None:
    told = run("--help")
    assert "--cron" in told and "{{ date }}" in told
    assert "interleaf schedules create brief.yaml" in run("create", "--help")
