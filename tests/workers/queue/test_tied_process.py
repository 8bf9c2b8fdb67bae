"""Tied process: it goes with the process that started it, and what it became goes, too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers.service.served import wait_for
from workers.queue import tied_process

ROOT = Path(__file__).resolve().parents[3]
IMPORTS = "import os, subprocess, sys, time; from workers.queue.tied_process import tie, tied_command\n"
SLEEPS = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]


def started(program: str) -> tuple[subprocess.Popen[str], int]:
    """A process that runs the program, and the number that the program or its child prints."""
    parent = subprocess.Popen(
        [sys.executable, "-c", IMPORTS + program],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "sdk:."},
    )
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" in status.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux'")
@pytest.mark.parametrize("hangs", [False, True], ids=["works", "hangs"])
def test_a_child_goes_with_its_parent(hangs: bool) -> None:
    child = IMPORTS + "tie(%d); print(os.getpid(), flush=True); time.sleep(600)"
    parent, pid = started(f"subprocess.run([sys.executable, '-c', {child!r} % os.getpid()])")
    if hangs:
        os.kill(pid, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    wait_for(lambda: is_gone(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere another program is not tied")
def test_another_program_goes_with_its_parent_and_sees_its_own_arguments() -> None:
    parent, pid = started(f"subprocess.run(tied_command({SLEEPS!r}))")
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    assert command == SLEEPS
    parent.kill()
    parent.wait()
    wait_for(lambda: is_gone(pid))


def test_where_the_kernel_does_not_help_a_thread_looks() -> None:
    child = "import sys; sys.platform = 'other'\n" + IMPORTS
    child += "tie(%d); print(os.getpid(), flush=True); time.sleep(600)"
    parent, pid = started(f"subprocess.run([sys.executable, '-c', {child!r} % os.getpid()])")
    parent.kill()
    parent.wait()
    wait_for(lambda: is_gone(pid))


def test_a_parent_that_died_before_is_noticed() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", IMPORTS + f"tie({os.getpid()} + 1); time.sleep(600)"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "sdk:."},
    )
    assert child.wait(60) == -signal.SIGKILL


def test_without_an_end_of_the_parent_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(tied_process.os, "kill", lambda pid, number: killed.append(pid))
    monkeypatch.setattr(tied_process.sys, "platform", "other")
    tied_process.tie(os.getppid())
    assert killed == []
