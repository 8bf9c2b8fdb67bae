"""`interleaf serve` and `interleaf health` as a person uses them: a first start, a job, and what goes wrong."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.workers.service.served import PROC, Served, environment, wait_for

ROOT = Path(__file__).resolve().parents[2]
INTERLEAF = [sys.executable, "-m", "interleaf"]
TIDES = {
    "instruction": "How tides work, for people who live by the sea",
    "sources": [str(ROOT / "examples" / "tides" / "notes")],
    "length_words": 300,
    "formats": ["html"],
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The whole service, as it is by default."""
    if not PROC.is_dir():
        pytest.skip("looks for processes in /proc")
    served = Served(tmp_path_factory.mktemp("whole") / "data", [*INTERLEAF, "serve"])
    served.start()
    yield served
    served.close()


def run(data: Path, *words: str, timeout_s: float = 90, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*INTERLEAF, *words],
        env=environment(data, **settings),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def test_a_first_start_tells_the_key_and_the_address_and_a_job_becomes_an_article(service: Served) -> None:
    key, ready = service.lines
    assert re.fullmatch(r"api key: ilk_[A-Za-z0-9_-]{43}", key)
    assert re.fullmatch(r"ready: http://127\.0\.0\.1:[1-9][0-9]*", ready)
    with service.client() as client:
        piece = client.compose(TIDES)
    assert piece.article.report.sentences_with_span == piece.article.report.sentences > 0
    assert "tide" in piece.article.model_dump_json()


def test_the_program_of_the_readme_runs(service: Served, tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## As a service")[2].partition("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", section, re.S)
    assert found is not None
    program = found[1].replace("http://127.0.0.1:8000", service.url).replace("ilk_…", service.key)
    assert service.url in program
    assert service.key in program
    for name, given in (("notes", "notes"), ("photos", "pictures")):
        (tmp_path / name).symlink_to(ROOT / "examples" / "tides" / given)
    told = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint(len(piece.article.figures))"],
        cwd=tmp_path,
        env=environment(tmp_path / "data"),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) > 0
    for command in re.findall(r"interleaf (serve [a-z]+|health)", section):
        assert run(tmp_path / "data", *command.split(), "--help").returncode == 0


def test_it_listens_on_this_machine_only(service: Served) -> None:
    port = int(service.url.rpartition(":")[2])
    listening = [
        line.split()[1].split(":")
        for name in ("tcp", "tcp6")
        for line in (PROC / "net" / name).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    assert [address for address, at in listening if int(at, 16) == port] == ["0100007F"]


def test_without_a_key_nothing_is_told(service: Served) -> None:
    assert httpx.get(f"{service.url}/v1/jobs").status_code == 401
    assert httpx.get(f"{service.url}/metrics").status_code == 401
    assert httpx.get(f"{service.url}/readyz").json() == {"status": "ok", "away": []}


def test_the_key_is_in_no_file(service: Served) -> None:
    for path in service.data.rglob("*"):
        if path.is_file():
            assert service.key.encode() not in path.read_bytes(), path


def test_health_of_every_part(service: Served) -> None:
    port = service.url.rpartition(":")[2]
    whole = run(service.data, "health", "--port", port)
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.splitlines() == [f"{role}: ok" for role in ("api", "compose", "render", "library", "beat")]
    assert run(service.data, "health", "compose", "--data", str(service.data)).returncode == 0


def test_metrics_know_the_workers(service: Served) -> None:
    text = httpx.get(f"{service.url}/metrics", headers={"Authorization": f"Bearer {service.key}"}).text
    for role, least in (("compose", 1), ("render", 2), ("library", 1), ("beat", 1)):
        found = re.search(rf'interleaf_workers{{role="{role}"}} ([0-9.]+)', text)
        assert found is not None
        assert float(found[1]) >= least


def test_what_parts_say_is_kept_by_role(service: Served) -> None:
    logs = service.data / "logs"
    assert {path.name for path in logs.iterdir()} >= {"api.log", "beat.log", "compose.log", "library.log", "render.log"}
    assert "ready" in (logs / "compose.log").read_text()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for words in (["serve"], ["serve", "api"]):
            said = run(tmp_path / "data", *words, "--port", port)
            assert said.returncode == 2
            assert f"127.0.0.1:{port}" in said.stderr
            assert "another port" in said.stderr
            assert said.stdout == ""


def test_a_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    said = run(tmp_path / "home", "serve", "--port", "0", "--data", str(tmp_path / "file" / "data"))
    assert said.returncode == 3
    assert str(tmp_path / "file" / "data") in said.stderr
    assert "--data" in said.stderr


@pytest.mark.parametrize("words", [["serve"], ["serve", "api"], ["serve", "compose"], ["health"]], ids="-".join)
def test_a_bad_setting_is_named(tmp_path: Path, words: list[str]) -> None:
    said = run(tmp_path / "data", *words, lease_s="soon")
    assert said.returncode == 2
    assert "INTERLEAF_LEASE_S" in said.stderr
    assert "soon" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_database_that_is_none_of_ours(tmp_path: Path) -> None:
    said = run(tmp_path / "data", "serve", "--port", "0", database_url="mysql://u:secret@host/name")
    assert said.returncode == 2
    assert "INTERLEAF_DATABASE_URL" in said.stderr
    assert "secret" not in said.stderr
    assert not list((tmp_path / "data").glob("redis/redis.sock"))  # what it had begun is over


def test_health_of_what_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        said = run(tmp_path / "data", "health", "--port", str(free.getsockname()[1]))
    assert said.returncode == 1
    assert "interleaf serve api" in said.stderr
    assert "interleaf serve compose" in said.stderr
    assert not (tmp_path / "data").exists()  # who asks makes nothing


def test_the_api_alone_and_a_worker_that_waits_for_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    api = Served(data, [*INTERLEAF, "serve", "api"])
    with (tmp_path / "worker.log").open("w") as log:
        worker = subprocess.Popen([*INTERLEAF, "serve", "beat"], env=environment(data), stderr=log)
    try:
        wait_for(lambda: "waiting: " in (tmp_path / "worker.log").read_text())
        assert "schema" in (tmp_path / "worker.log").read_text()
        api.start()
        assert [line.partition(": ")[0] for line in api.lines] == ["api key", "ready"]
        # There is no queue: jobs are taken in all the same.
        assert httpx.get(f"{api.url}/readyz", timeout=30).json() == {"status": "degraded", "away": ["queue"]}
        with api.client() as client:
            assert client.jobs.create({"instruction": "Tides", "sources": [{"text": "The sea rises."}]}).id
        wait_for(lambda: run(data, "health", "beat").returncode == 0)
        api.send(signal.SIGTERM)
        assert api.wait() == 0
        worker.terminate()
        assert worker.wait(60) == 0
        assert run(data, "health", "beat").returncode == 1  # it said goodbye
        with_key, first = Served(data, [*INTERLEAF, "serve", "api", "--new-key"]), api.key
        with_key.start()
        assert with_key.key not in ("", first)
        with with_key.client() as client:
            assert not client.jobs.list().data  # another key's jobs are not its own
        with_key.close()
    finally:
        api.close()
        worker.wait()


def test_help_teaches() -> None:
    said = subprocess.run([*INTERLEAF, "serve", "--help"], capture_output=True, text=True, check=True)
    for word in ("api key: KEY", "ready: http://127.0.0.1:PORT", "--data", "Ctrl-C", "interleaf serve compose"):
        assert word in said.stdout
