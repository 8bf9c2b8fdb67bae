"""A service that was started by `interleaf serve`, as somebody outside sees it: its lines, its processes, its jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from interleaf import Client

PROC = Path("/proc")
TIMEOUT_S = 90


def environment(data: Path, **settings: object) -> dict[str, str]:
    """An environment in which nothing of interleaf is set but this."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("INTERLEAF_")}
    chosen = {f"INTERLEAF_{name.upper()}": str(value) for name, value in settings.items()}
    return {**rest, **chosen, "INTERLEAF_HOME": str(data)}


def wait_for(what: Callable[[], object], told: Callable[[], str] = str, timeout_s: float = TIMEOUT_S) -> None:
    """AssertionError, with what `told` says, when it does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


def command_of(pid: int) -> list[str]:
    """The command line of a process; empty when it has ended."""
    with suppress(OSError):
        return [word for word in (PROC / str(pid) / "cmdline").read_bytes().decode().split("\0") if word]
    return []


def parent_of(pid: int) -> int:
    with suppress(OSError):
        return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return 0


class Served:
    """One data folder, and the service over it, which may be started and ended again and again."""

    def __init__(self, data: Path, program: Sequence[str], **settings: object) -> None:
        self.data = data
        self.lines: list[str] = []
        """What was printed on standard output since the last start."""
        self.key = ""
        self.url = ""
        self._program = [*program, "--port", "0"]
        self._env = environment(data, **settings)
        self._process: subprocess.Popen[str] | None = None
        self._errors = data.parent / "errors.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait for its ready line."""
        self.lines.clear()
        with self._errors.open("a") as errors:
            self._process = subprocess.Popen(
                self._program, env=self._env, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        wait_for(lambda: self._said("ready: ") or self.returncode is not None, self.logs)
        self.url = self._said("ready: ")
        assert self.url, self.logs()
        self.key = self._said("api key: ") or self.key

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    @property
    def returncode(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def wait(self) -> int:
        """Its exit code, when it ended."""
        assert self._process is not None
        try:
            return self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self.logs()}") from None

    def close(self) -> None:
        """End whatever is there of it."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def client(self) -> Client:
        return Client(self.url, self.key)

    def part(self, role: str) -> int | None:
        """The process of that part; None while there is none."""
        for pid in self.processes():
            words = command_of(pid)
            named = words[3:4] if words[1:3] == ["-P", "-m"] else [Path(word).name for word in words[1:2]]
            worker = named in (["workers.service.worker_part"], ["paced_part.py"]) and role in words
            mine = (
                worker
                or (role == "api" and named == ["api"])
                or (role == "redis" and "valkey-server unixsocket:" in " ".join(words))
            )
            if mine and parent_of(pid) == self.pid:
                return pid
        return None

    def processes(self) -> list[int]:
        """Every process that has this data folder in its environment, or in its command line where it wrote that over
        its environment, as our Redis does; the service's own included."""
        found = []
        for entry in PROC.iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    words = (entry / "environ").read_bytes().split(b"\0")
                    title = (entry / "cmdline").read_bytes()
                    if f"INTERLEAF_HOME={self.data}".encode() in words or f"unixsocket:{self.data}/".encode() in title:
                        found.append(int(entry.name))
        return found

    def errors(self) -> str:
        """What it told a person."""
        return self._errors.read_text()

    def logs(self) -> str:
        files = [self._errors, *sorted((self.data / "logs").glob("*.log"))]
        return "\n".join([f"--- out\n{self.lines}", *(f"--- {p.name}\n{p.read_text()[-3000:]}" for p in files)])

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))

    def _said(self, beginning: str) -> str:
        return next((line.removeprefix(beginning) for line in self.lines if line.startswith(beginning)), "")
