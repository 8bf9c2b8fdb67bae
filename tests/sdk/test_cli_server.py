"""`interleaf compose --server` as a person and a script meet it: display, files and exit codes as in process."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from interleaf.cli.app import main
from interleaf.errors import NothingToSay, RequestsTooMany, Unsupported
from interleaf.service.retrying import Retrying
from tests.api.service import Service
from tests.sdk.cli_worker import HTML, OUTLINE, CliWorker, piece
from tests.sdk.faulty_transport import QUICK
from tests.sdk.material import write_material


@pytest.fixture
def address(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("INTERLEAF_API_KEY", service.alice)
    monkeypatch.delenv("INTERLEAF_SERVER", raising=False)
    with service.served() as url:
        yield url


@pytest.fixture
def worker(service: Service) -> CliWorker:
    return CliWorker(service)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_material(tmp_path_factory.mktemp("material"))
    brief = {"instruction": "How a canal lock works", "sources": ["notes/"], "pictures": ["pictures/"]}
    (folder / "brief.yaml").write_text(yaml.safe_dump(brief), encoding="utf-8")
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The program's own exit code."""
    monkeypatch.setattr(sys, "argv", ["interleaf", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_brief_goes_there_and_its_files_come_back(
    service: Service,
    address: str,
    worker: CliWorker,
    material: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    working = worker.does(lambda claim: worker.finish(claim, title="Mine [bold]"))
    assert run(monkeypatch, "compose", str(material / "brief.yaml"), "--server", address, "--out", str(out)) == 0
    working.join(30)
    said = capsys.readouterr()
    assert said.out.splitlines() == [str(out / name) for name in ("article.json", "article.html", "article.zip")]
    assert "Mine [bold]" in said.err
    assert said.err.index("read is done") < said.err.index("plan is done") < said.err.index("draft is done")
    assert (out / "article.html").read_bytes() == HTML + b"html"
    assert json.loads((out / "article.json").read_text())["title"] == "Mine [bold]"
    sent = service.client().get("/v1/uploads?limit=100").json()["data"]
    assert {upload["media_type"] for upload in sent} == {"text/markdown", "text/plain", "application/zip"}
    asked = service.jobs.brief(service.jobs.list(service.alice_id).jobs[0].id, service.alice_id)
    assert all(source["path"].startswith("upload:") for source in (*asked["sources"], *asked["pictures"]))


def test_for_machines_it_says_what_it_says_in_process(
    address: str,
    worker: CliWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("INTERLEAF_SERVER", address)  # in place of the option
    working = worker.does(worker.finish)
    assert run(monkeypatch, "compose", "-i", "x", "--out", str(tmp_path / "o"), "--json") == 0
    working.join(30)
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert set(told) == {"run_id", "title", "writer", "files", "report"}
    assert told["run_id"].startswith("job_")
    assert not said.err


def test_detached_it_prints_the_id_and_leaves_nothing_here(
    service: Service,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "compose", "-i", "x", "--server", address, "--detach") == 0
    job_id = capsys.readouterr().out.strip()
    assert service.jobs.get(job_id, service.alice_id).state == "queued"
    assert run(monkeypatch, "compose", "-i", "x", "--server", address, "--no-wait", "--json") == 0
    assert json.loads(capsys.readouterr().out)["run_id"].startswith("job_")
    assert [path.name for path in tmp_path.iterdir()] == ["home0"], "the service's own"


def test_it_stops_at_a_question_and_goes_on_with_the_answer(
    service: Service,
    address: str,
    worker: CliWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "my out"
    working = worker.does(worker.ask)  # type: ignore[arg-type]
    common = ["--server", address, "--out", str(out)]
    assert run(monkeypatch, "compose", "-i", "x", "--ask-outline", *common) == 7
    working.join(30)
    said = capsys.readouterr().err.replace("\n", " ")
    assert "The moon (100 words)" in said
    words = shlex.split(said.partition("Answer with: interleaf ")[2].partition(" or --cancel")[0])
    job_id = words[2]
    assert words[3:] == ["--server", address, "--out", str(out), "--approve"]
    # Coming back without an answer shows the question again.
    assert run(monkeypatch, "compose", "--resume", job_id, *common, "--json") == 7
    asked = json.loads(capsys.readouterr().out)
    assert (asked["run_id"], asked["needs_input"]["outline"]) == (job_id, OUTLINE)
    (tmp_path / "bad.yaml").write_text("colour: red\n")
    assert run(monkeypatch, "compose", "--resume", job_id, *common, "--answer", str(tmp_path / "bad.yaml")) == 2
    assert "colour" in capsys.readouterr().err
    edited = {"outline": {**OUTLINE, "title": "By hand"}}
    (tmp_path / "edited.yaml").write_text(yaml.safe_dump(edited))

    working = worker.goes_on_with(job_id, worker.finish)
    assert run(monkeypatch, "compose", "--resume", job_id, *common, "--answer", str(tmp_path / "edited.yaml")) == 0
    working.join(30)
    answer = service.jobs.get(job_id, service.alice_id).answer
    assert answer is not None
    assert (answer["decision"], answer["outline"]["title"]) == ("edit", "By hand")
    assert (out / "article.zip").is_file()
    # One that has ended is fetched again.
    assert run(monkeypatch, "compose", "--resume", job_id, "--server", address, "--out", str(tmp_path / "again")) == 0


def test_no_is_an_answer(
    service: Service, address: str, worker: CliWorker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job = service.create()
    worker.ask(worker.begin(job.id))
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "compose", "--resume", job.id, "--server", address, "--cancel") == 6
    assert service.jobs.get(job.id, service.alice_id).state == "canceled"
    assert run(monkeypatch, "compose", "--resume", job.id, "--server", address) == 6


def test_why_a_job_failed_is_the_exit_code(
    service: Service,
    address: str,
    worker: CliWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(claim: Any) -> None:
        service.leases.finish(claim, "failed", error=NothingToSay("notes.md", "holds no text.", "Write some."))

    working = worker.does(fail)
    common = ["--server", address, "--out", str(tmp_path / "out")]
    assert run(monkeypatch, "compose", "-i", "x", *common) == NothingToSay.exit_code
    working.join(30)
    assert "notes.md: holds no text. Write some." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

    def half(claim: Any) -> None:
        document = worker.results.keep_document(claim, piece(), worker._kept(b"{}"))
        worker.results.keep_file(claim, document.id, "html", "text/html", worker._kept(HTML), ("html", "md"))
        error = Unsupported("md", "cannot be made.", "Leave it out.")
        worker.results.keep_failure(claim, "md", error, ("html", "md"))

    working = worker.does(half)
    assert run(monkeypatch, "compose", "-i", "x", *common) == 2
    working.join(30)
    said = capsys.readouterr()
    assert [Path(line).name for line in said.out.splitlines()] == ["article.json", "article.html"], "what there is"
    assert "md: cannot be made." in said.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["compose", "-i", "x", "--home", "h"], 2, "--home"),
        (["compose", "-i", "x", "--library", "h"], 2, "--library"),
        (["compose", "-i", "x", "--run-id", "r-1"], 2, "--run-id"),
        (["compose", "-i", "x", "-n", "absent.md"], 2, "absent.md"),
        (["compose", "-i", "x", "-p", "absent"], 2, "absent"),
        (["compose", "-i", "x", "--format", "pptx"], 2, "pptx"),
        (["compose", "-i", "x", "--out", "/proc/interleaf"], 3, "/proc/interleaf"),
        (["compose", "--resume", "job_1"], 2, "job_1"),
        (["compose", "--resume", "../keys", "--approve"], 2, "../keys"),
        (["compose", "--approve"], 2, "--resume"),
        (["jobs", "show", "job_1"], 2, "job_1"),
        (["jobs", "list", "--state", "asleep"], 2, "awaiting_input"),
        (["jobs", "rerun", "job_1", "--set", "seed"], 2, "--set"),
        (["keys", "list"], 2, "admin"),
        (["keys", "create", "x", "--scope", "everything"], 2, "scopes"),
    ],
)
def test_errors_name_the_thing_and_order_nothing(
    service: Service,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments, "--server", address) == code
    said = capsys.readouterr().err
    assert words in said.replace("\n", "")
    assert "Traceback" not in said
    assert not service.jobs.list(service.alice_id).jobs
    assert not (tmp_path / "out").exists()


def test_who_has_no_key_or_no_service_is_told(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key.txt").write_text("ilk_wrong_wrong_wrong\n")
    assert run(monkeypatch, "compose", "-i", "x", "--server", address, "--api-key-file", "key.txt") == 2
    assert "unknown or revoked" in capsys.readouterr().err
    monkeypatch.delenv("INTERLEAF_API_KEY")
    assert run(monkeypatch, "compose", "-i", "x", "--server", address) == 2
    assert "INTERLEAF_API_KEY" in capsys.readouterr().err
    assert run(monkeypatch, "jobs", "list") == 2
    assert "INTERLEAF_SERVER" in capsys.readouterr().err
    (tmp_path / "key.txt").write_text("short")
    assert run(monkeypatch, "jobs", "list", "--server", address, "--api-key-file", "key.txt") == 2
    monkeypatch.setattr("interleaf.service.client.Retrying", lambda: Retrying(attempts=1))
    (tmp_path / "key.txt").write_text("ilk_some_key_of_some_service\n")
    assert run(monkeypatch, "jobs", "list", "--server", "http://127.0.0.1:1", "--api-key-file", "key.txt") == 5


def test_an_empty_server_means_here(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INTERLEAF_SERVER", address)
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "compose", "-i", "x", "--server", "", "--home", "h") == 2
    assert "sources" in capsys.readouterr().err, "composed in this process, which needs notes"
    for option in ("--estimate", "--detach"):
        assert run(monkeypatch, "compose", "-i", "x", "--server", "", option) == 2


def test_an_estimate_is_told_and_nothing_is_ordered(
    service: Service,
    address: str,
    material: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["compose", str(material / "brief.yaml"), "--server", address, "--estimate"]
    assert run(monkeypatch, *common) == 0
    said = capsys.readouterr().out
    assert re.search(r"seconds\W+\d+", said)
    assert "a guess" in said
    assert run(monkeypatch, *common, "--json") == 0
    assert json.loads(capsys.readouterr().out)["basis"] == 0
    assert not service.jobs.list(service.alice_id).jobs
    assert not service.client().get("/v1/uploads").json()["data"]
    assert [path.name for path in tmp_path.iterdir()] == ["home0"], "the service's own"


def begun(command: list[str], service: Service, **streams: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "INTERLEAF_API_KEY": service.alice, "TERM": "xterm", "COLUMNS": "200"}
    return subprocess.Popen([sys.executable, "-m", "interleaf", *command], env=environment, **streams)


def test_interrupted_without_a_terminal_the_job_goes_on(
    service: Service, address: str, worker: CliWorker, tmp_path: Path
) -> None:
    command = ["compose", "-i", "x", "--server", address, "--out", str(tmp_path / "out")]
    process = begun(command, service, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        claim = worker.begin(worker.next_job().id)
        assert process.stderr is not None
        told = b""
        while b"draft is done" not in told:  # it follows the job now
            told += os.read(process.stderr.fileno(), 4_096)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    said = err.decode()
    back = shlex.split(re.findall(r"Come back with: interleaf (.*)", said)[0])
    assert back == ["compose", "--resume", claim.job_id, "--server", address, "--out", str(tmp_path / "out")]
    assert f"interleaf jobs cancel {claim.job_id} --server {address}" in said
    assert service.jobs.get(claim.job_id, service.alice_id).state == "running"
    worker.finish(claim)
    process = begun([*back, "--quiet"], service, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, len(out.splitlines())) == (0, 3)


@pytest.mark.parametrize(("reply", "state"), [(b"c\n", "canceling"), (b"\n", "running")])
def test_interrupted_in_a_terminal_the_person_is_asked(
    service: Service, address: str, worker: CliWorker, tmp_path: Path, reply: bytes, state: str
) -> None:
    ours, theirs = os.openpty()
    command = ["compose", "-i", "x", "--server", address, "--out", str(tmp_path / "out")]
    process = begun(command, service, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        claim = worker.begin(worker.next_job().id)
        told = b""

        def read_until(words: bytes) -> None:
            nonlocal told
            until = time.monotonic() + 60
            while words not in told:
                assert time.monotonic() < until, told
                told += os.read(ours, 4_096)

        read_until(b"draft")
        process.send_signal(signal.SIGINT)
        read_until(b"cancel it (c)?")
        os.write(ours, reply)
        read_until(claim.job_id.encode())
        assert process.wait(60) == 130
    finally:
        process.kill()
        os.close(ours)
    assert service.jobs.get(claim.job_id, service.alice_id).state == state


def test_a_service_that_goes_away_leaves_word_how_to_come_back(
    service: Service,
    worker: CliWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("INTERLEAF_API_KEY", service.alice)
    monkeypatch.setattr("interleaf.service.client.Retrying", lambda: QUICK)
    with service.served() as address:
        job = service.create()

        def leave(claim: Any) -> None:
            service.app.state.door.streams.closing = True  # every stream ends, and none is opened

        working = worker.does(leave)
        code = run(monkeypatch, "compose", "--resume", job.id, "--server", address, "--out", str(tmp_path / "out"))
        working.join(30)
    assert code == RequestsTooMany.exit_code
    assert f"--resume {job.id}" in capsys.readouterr().err.replace("\n", " ")
