"""`interleaf jobs` and `interleaf keys` against a real service: for people, for scripts, with exit codes to go by."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from interleaf.cli.app import app, main
from interleaf.errors import NothingToSay
from tests.api.service import Service
from tests.sdk.cli_worker import HTML, OUTLINE, CliWorker


@pytest.fixture
def address(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("INTERLEAF_API_KEY", service.alice)
    monkeypatch.setenv("COLUMNS", "200")
    with service.served() as url:
        monkeypatch.setenv("INTERLEAF_SERVER", url)
        yield url


@pytest.fixture
def worker(service: Service) -> CliWorker:
    return CliWorker(service)


class Said:
    """Runs the program and keeps what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What it printed on standard output."""
        self._monkeypatch.setattr(sys, "argv", ["interleaf", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        self.err = said.err
        assert int(ended.value.code or 0) == code, said.err
        assert "Traceback" not in said.err
        return said.out


@pytest.fixture
def said(address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(monkeypatch, capsys)


def test_jobs_are_listed_by_page_and_state(service: Service, said: Said) -> None:
    assert said("jobs", "list") == "no jobs\n"
    jobs = [service.create(external_id=f"piece [{n}]", metadata={"team": "harbour"}).id for n in range(3)][::-1]
    service.finish(jobs[0])
    table = said("jobs", "list")
    assert [line for line in jobs if line in table] == jobs
    assert "piece [2]" in table
    assert "succeeded" in table
    page = json.loads(said("jobs", "list", "--limit", "2", "--json"))
    assert ([job["id"] for job in page["jobs"]], page["next"]) == (jobs[:2], jobs[1])
    rest = json.loads(said("jobs", "list", "--after", page["next"], "--json"))
    assert ([job["id"] for job in rest["jobs"]], rest["next"]) == (jobs[2:], None)
    assert f"--after {jobs[1]}" in said("jobs", "list", "--limit", "2")
    queued = json.loads(said("jobs", "list", "--state", "queued", "--external-id", "piece [1]", "--json"))
    assert [job["id"] for job in queued["jobs"]] == [jobs[1]]


def test_a_job_is_shown_in_full(service: Service, worker: CliWorker, said: Said) -> None:
    job = service.create(external_id="[red]mine[/red]").id
    worker.finish(worker.begin(job))
    sheet = said("jobs", "show", job)
    for words in ("succeeded", "[red]mine[/red]", "1 of at most 3", "html", "art_", "doc_"):
        assert words in sheet, words
    assert json.loads(said("jobs", "show", job, "--json"))["id"] == job
    assert json.loads(said("jobs", "show", job, "--brief"))["instruction"] == "Say what the tide is."
    failed = service.create().id
    error = NothingToSay("notes.md", "holds no text.", "Write some.")
    service.leases.finish(service.claim(failed), "failed", error=error)
    assert "nothing_to_say: notes.md: holds no text. Write some." in said("jobs", "show", failed)
    assert said("jobs", "show", "job_1", code=2) == ""


def test_events_are_told_to_where_they_are_or_to_the_end(service: Service, worker: CliWorker, said: Said) -> None:
    job = service.create().id
    claim = worker.begin(job)
    lines = said("jobs", "events", job).splitlines()
    assert [line.split()[0] for line in lines] == [str(n + 1) for n in range(len(lines))]
    assert "job.queued" in lines[0]
    assert any("draft · half [way]" in line for line in lines)
    assert said("jobs", "events", job, "--after", str(len(lines))) == ""
    worker.finish(claim)
    told = [json.loads(line) for line in said("jobs", "events", job, "--follow", "--json").splitlines()]
    assert told[-1]["name"] == "job.succeeded"
    assert [event["id"] for event in told] == list(range(1, len(told) + 1))


def test_waiting_ends_as_the_job_does(service: Service, worker: CliWorker, said: Said) -> None:
    job = service.create().id
    said("jobs", "wait", job, "--timeout", "0", code=5)
    assert "has not ended" in said.err
    assert json.loads(said("jobs", "wait", job, "--timeout", "0", "--json", code=5))["state"] == "queued"
    claim = worker.begin(job)
    worker.ask(claim)
    assert said("jobs", "wait", job, code=7) == "awaiting_input\n"
    assert f"interleaf jobs answer {job}" in said.err
    done = service.create().id
    worker.finish(worker.begin(done))
    assert said("jobs", "wait", done) == "succeeded\n"
    assert json.loads(said("jobs", "wait", done, "--json"))["state"] == "succeeded"
    failed = service.create().id
    error = NothingToSay("notes.md", "holds no text.", "Write some.")
    service.leases.finish(service.claim(failed), "failed", error=error)
    assert said("jobs", "wait", failed, code=NothingToSay.exit_code) == "failed\n"
    assert "notes.md: holds no text." in said.err
    told = json.loads(said("jobs", "wait", failed, "--json", code=NothingToSay.exit_code))
    assert told["error"]["code"] == "nothing_to_say", "one object, the error's"


def test_stopped_tried_again_done_anew_and_deleted(service: Service, said: Said) -> None:
    job = service.create().id
    said("jobs", "delete", job, code=2)
    assert said("jobs", "cancel", job) == "canceled\n"
    said("jobs", "cancel", job, code=2)
    assert said("jobs", "wait", job, code=6) == "canceled\n"
    again = said("jobs", "retry", job).strip()
    assert service.jobs.get(again, service.alice_id).retry_of == job
    anew = said("jobs", "rerun", job, "--set", "seed=7", "--set", "formats=[html]", "--set", "title=a=b").strip()
    brief = service.jobs.brief(anew, service.alice_id)
    assert (brief["seed"], brief["formats"], brief["title"]) == (7, ["html"], "a=b")
    assert json.loads(said("jobs", "rerun", job, "--json"))["rerun_of"] == job
    said("jobs", "rerun", job, "--set", "length_words=1", code=2)
    assert "length_words" in said.err
    said("jobs", "rerun", job, "--set", "x={", code=2)
    assert said("jobs", "delete", job) == f"{job} is deleted\n"
    said("jobs", "show", job, code=2)


def test_a_question_is_shown_and_answered(service: Service, worker: CliWorker, said: Said, tmp_path: Path) -> None:
    job = service.create().id
    said("jobs", "answer", job, code=2)
    request = worker.ask(worker.begin(job))
    said("jobs", "answer", job, code=7)
    assert "The moon (100 words)" in said.err
    question = json.loads(said("jobs", "answer", job, "--json", code=7))
    said("jobs", "answer", job, "--approve", "--cancel", code=2)
    said("jobs", "answer", job, "--approve", "--request", "req_01kaj5v1c8m2n4p6q8r0s2t4v6", code=2)
    edited = {"outline": {**question["needs_input"]["outline"], "title": "By hand"}}
    file = tmp_path / "edited.yaml"
    file.write_text(yaml.safe_dump(edited))
    assert said("jobs", "answer", job, "--answer", str(file), "--request", request) == "awaiting_input\n"
    answer = service.jobs.get(job, service.alice_id).answer
    assert answer is not None
    assert answer["outline"]["title"] == "By hand"
    assert OUTLINE["title"] != "By hand"
    other = service.create().id
    worker.ask(worker.begin(other))
    assert json.loads(said("jobs", "answer", other, "--cancel", "--json"))["state"] == "canceled"


def test_files_are_fetched_under_the_names_of_this_machine(
    service: Service, worker: CliWorker, said: Said, tmp_path: Path
) -> None:
    job, out = service.create().id, tmp_path / "out"
    said("jobs", "fetch", job, "--out", str(out), code=2)
    assert "there are none (it is queued)" in said.err
    assert not out.exists()
    worker.finish(worker.begin(job), ("html", "epub", "md"))
    names = [Path(line).name for line in said("jobs", "fetch", job, "--out", str(out)).splitlines()]
    assert names == ["article.json", "article.epub", "article.html", "article.zip"]
    assert (out / "article.html").read_bytes() == HTML + b"html"
    told = json.loads(said("jobs", "fetch", job, "--out", str(out), "--json"))
    assert (told["run_id"], told["state"], len(told["files"])) == (job, "succeeded", 4)
    canceled = service.create().id
    service.jobs.cancel(canceled, service.alice_id)
    said("jobs", "fetch", canceled, "--out", str(out), code=6)


def test_keys_are_made_listed_and_revoked_by_an_admin(
    service: Service, said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "admin.txt").write_text(service.admin)
    admin = ["--api-key-file", str(tmp_path / "admin.txt")]
    secret = said("keys", "create", "news [room]", "--scope", "jobs:read", "--max-active-jobs", "3", *admin).strip()
    assert "not shown again" in said.err
    made = service.keys.find(secret)
    assert made is not None
    assert (made.name, made.scopes, made.quotas.max_active_jobs) == ("news [room]", ("jobs:read",), 3)
    table = said("keys", "list", *admin)
    assert made.id in table
    assert "news [room]" in table
    assert secret not in table
    page = json.loads(said("keys", "list", "--limit", "1", "--json", *admin))
    assert ([key["id"] for key in page["keys"]], page["next"]) == ([made.id], made.id)
    assert said("keys", "revoke", made.id, *admin) == f"{made.id} (news [room]) is revoked\n"
    assert service.keys.find(secret) is None
    assert json.loads(said("keys", "create", "x", "--scope", "jobs:read", "--json", *admin))["secret"].startswith(
        "ilk_"
    )
    said("keys", "revoke", "key_1", *admin, code=2)
    said("keys", "list", code=2)
    assert "admin" in said.err


@pytest.mark.parametrize("command", ["jobs", "keys"])
def test_help_teaches(command: str) -> None:
    wide = {"COLUMNS": "160", "TERM": "dumb"}
    text = CliRunner().invoke(app, [command, "--help"], env=wide).output
    assert "Start here" in text
    group = next(one for one in app.registered_groups if one.name == command).typer_instance
    assert group is not None
    names = [one.name or one.callback.__name__ for one in group.registered_commands if one.callback is not None]
    assert {"list", "revoke" if command == "keys" else "fetch"} <= set(names)
    for name in names:
        told = CliRunner().invoke(app, [command, name, "--help"], env=wide).output
        assert "Example" in told, name
        for option in ("--server", "--api-key-file", "--json"):
            assert option in told, (name, option)
