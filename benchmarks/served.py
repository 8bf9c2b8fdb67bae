"""Served: a whole service for a benchmark, as `interleaf serve` starts it, over a folder of its own; and its memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interleaf import Client
from workers.queue.tied_process import tied_command
from workers.settings import environment_with

__all__ = ["Served", "served"]

ROOT: Final = Path(__file__).resolve().parent.parent
PROC: Final = Path("/proc")
START_S: Final = 120.0
STOP_S: Final = 60.0


@dataclass(frozen=True)
class Served:
    """A service that answers."""

    url: str
    key: str
    home: Path
    pid: int
    """Of the process that starts and watches all others."""

    def client(self) -> Client:
        """A client with the key that the first start told."""
        return Client(self.url, self.key, timeout_s=60.0)

    def own_mib(self) -> dict[str, float]:
        """By part, memory of its process in MiB that is its own; a part's further processes are numbered. What is
        mapped from files (libraries, an encoder's weights) is not counted: it never exceeds the files, several
        processes share it, and the machine takes it back when it needs it. Linux only."""
        found: dict[str, float] = {}
        for pid in [self.pid, *_below(self.pid)]:
            # One that begins or ends in this moment, and has no command line, is left out.
            with suppress(OSError, LookupError, StopIteration):
                name = "supervisor" if pid == self.pid else _part_of(pid)
                numbered = next(one for n in range(1, 100) if (one := name if n == 1 else f"{name} {n}") not in found)
                resident, of_files = map(int, (PROC / str(pid) / "statm").read_text().split()[1:3])
                found[numbered] = (resident - of_files) * os.sysconf("SC_PAGE_SIZE") / 2**20
        return found


@contextmanager
def served(home: Path, **settings: object) -> Iterator[Served]:
    """A service over `home`, which it makes; `settings` are those of workers/settings.py. It ends with the context, or
    with this process. SystemExit, with what it said, when it does not come up."""
    home.parent.mkdir(parents=True, exist_ok=True)
    said = home.parent / f"{home.name}.log"
    chosen = {f"INTERLEAF_{name.upper()}": str(value) for name, value in settings.items()}
    with said.open("wb") as log:
        process = subprocess.Popen(
            tied_command([sys.executable, "-m", "interleaf", "serve", "--data", str(home), "--port", "0"]),
            cwd=ROOT,
            env=environment_with(chosen, python_path=[str(ROOT), str(ROOT / "sdk")]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        key, url = _lines_of(process, said)
        yield Served(url, key, home, process.pid)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _lines_of(process: subprocess.Popen[bytes], said: Path) -> tuple[str, str]:
    """The key and the address."""
    deadline = time.monotonic() + START_S
    while True:
        told = dict(line.split(": ", 1) for line in said.read_text(errors="replace").splitlines() if ": " in line)
        if "ready" in told:
            return told["api key"], told["ready"]
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the service did not come up:\n{said.read_text(errors='replace')[-3000:]}")
        time.sleep(0.1)


def _below(pid: int) -> list[int]:
    """All processes that it started, and those that they did."""
    found: list[int] = []
    with suppress(OSError):
        for task in sorted((PROC / str(pid) / "task").iterdir()):
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *_below(child)]
    return found


def _part_of(pid: int) -> str:
    """`api`, `compose`, `redis`, …, by its command line."""
    words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").split()
    if "workers.service.worker_part" in words:
        return words[words.index("workers.service.worker_part") + 1]
    return "redis" if "valkey-server" in words[0] else words[words.index("-m") + 1] if "-m" in words else words[0]
