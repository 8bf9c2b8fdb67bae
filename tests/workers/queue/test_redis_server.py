"""Our own Redis: keeps what it was given through a stop, a kill and a damaged file; one server a folder; nobody else
gets in."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import redis

from interleaf.errors import RunBusy, ServiceAway
from workers.queue.redis_server import RedisServer, reach


def client(server: RedisServer) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(server.socket_path), socket_timeout=5)


def is_alive(pid: int) -> bool:
    """Whether it runs; a dead one that nobody has collected yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "State:\tZ" not in status.read_text()


def test_what_it_was_given_outlives_a_stop_and_a_kill(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    server.start()
    client(server).set("kept", "through a stop")
    server.stop()
    assert not server.is_running
    assert not reach(server.url)
    server.start()
    assert client(server).get("kept") == b"through a stop"
    client(server).set("also", "through a kill")
    time.sleep(1.1)  # flushed each second
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while server.is_running and time.monotonic() < deadline:
        time.sleep(0.01)
    server.start()
    assert client(server).get("also") == b"through a kill"
    server.stop()


def test_it_opens_no_port_and_its_socket_is_its_users_own(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        said = client(server).config_get("port", "maxmemory-policy", "appendonly", "maxmemory")
        assert said["port"] == "0"
        assert said["maxmemory-policy"] == "noeviction"
        assert said["appendonly"] == "yes"
        assert int(said["maxmemory"]) == 256 * 2**20
        assert stat.S_IMODE((tmp_path / "redis").stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o600


def test_a_full_broker_refuses_and_drops_nothing(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", max_memory_mb=4) as server:
        one = client(server)
        one.set("first", "here")
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            for i in range(100):
                one.set(f"key{i}", b"x" * 2**17)
        assert one.get("first") == b"here"


def test_its_death_is_noticed_and_a_stop_is_no_death(tmp_path: Path) -> None:
    died = threading.Event()
    codes: list[int] = []

    def note(code: int) -> None:
        codes.append(code)
        died.set()

    server = RedisServer(tmp_path / "redis", on_death=note)
    server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert died.wait(5)
    assert codes == [-signal.SIGKILL]
    server.start()
    server.stop()
    time.sleep(0.2)
    assert codes == [-signal.SIGKILL]


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as first:
        client(first).set("a", "1")
        with pytest.raises(RunBusy, match="another process"):
            RedisServer(tmp_path / "redis").start()
        assert client(first).get("a") == b"1"


@pytest.mark.parametrize("hangs", [False, True], ids=["answers", "hangs"])
def test_a_server_whose_owner_was_killed_makes_way(tmp_path: Path, hangs: bool) -> None:
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from workers.queue.redis_server import RedisServer\n"
            "server = RedisServer(Path(sys.argv[1])); server.start(); print(server.pid, flush=True); time.sleep(60)",
            str(tmp_path / "redis"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": "sdk:."},
    )
    assert owner.stdout is not None
    orphan = int(owner.stdout.readline())
    server = RedisServer(tmp_path / "redis")
    client(server).set("kept", "by the orphan")
    time.sleep(1.1)
    if hangs:
        os.kill(orphan, signal.SIGSTOP)
    owner.kill()
    owner.wait()
    server.start(timeout_s=6)
    try:
        assert server.pid != orphan
        assert client(server).get("kept") == b"by the orphan"
        assert not is_alive(orphan)
    finally:
        server.stop()


def test_a_damaged_file_does_not_keep_it_down(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    server.start()
    client(server).set("a", "1")
    server.stop()
    for path in (tmp_path / "redis" / "appendonlydir").iterdir():
        path.write_bytes(b"\x00 this is no such file \xff" * 50)
    server.start()
    assert client(server).ping()
    assert (tmp_path / "redis" / "appendonlydir.damaged").is_dir()
    server.stop()


def test_a_folder_with_a_very_long_name_still_works(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("er" * 40)
    with RedisServer(folder) as server:
        assert client(server).ping()
        short = server.socket_path.parent
        assert short != folder
    assert not short.exists()


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho 'no such option'\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("workers.queue.redis_server.server_binary", lambda: program)
    with pytest.raises(ServiceAway, match="no such option"):
        RedisServer(tmp_path / "redis").start(timeout_s=3)
