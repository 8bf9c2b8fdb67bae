"""Part: one that ends is started again, more and more slowly when it ends at once, and a person is told why."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.service.served import wait_for
from workers.service.part import Part
from workers.service.part_log import PartLog
from workers.service.pauses import FIRST_S, LONGEST_S, QUICK_S, Pauses

TALKS = "import sys, time; print('I am here', flush=True); time.sleep(600)"
STUMBLES = "import sys; print('no such file: \\x1b[31mlist.txt', file=sys.stderr); sys.exit(3)"


class Watched:
    """A part over a program, and what was told of it."""

    def __init__(self, folder: Path, program: str) -> None:
        self.told: list[str] = []
        self.log = PartLog(folder / "part.log")
        self.part = Part("sample", [sys.executable, "-c", program], dict(os.environ), self.log, self.told.append)

    def wait_for_line(self, part: str) -> None:
        wait_for(lambda: any(part in line for line in self.log.last_lines()))


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path, TALKS)
    watched.part.start()
    yield watched
    watched.part.kill()


def test_one_that_is_killed_comes_back(talking: Watched) -> None:
    first = talking.part.pid
    assert first is not None
    talking.part.look()
    assert talking.part.pid == first
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: talking.part.look() or talking.part.pid not in (None, first))
    assert talking.told == ["sample was killed by SIGKILL soon after its start; it is started again in 0.5 s."]


def test_one_that_is_asked_to_end_ends(talking: Watched) -> None:
    talking.wait_for_line("I am here")
    talking.part.ask_to_end()
    wait_for(lambda: talking.part.pid is None)
    talking.part.ask_to_end()
    talking.part.kill()  # it is not there any more, and nothing else is hit
    assert talking.told == []


def test_what_a_killed_part_had_started_goes_with_it(tmp_path: Path) -> None:
    child_program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    watched = Watched(tmp_path, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child_program!r}])")
    watched.part.start()
    wait_for(lambda: any(line.isdigit() for line in watched.log.last_lines()))
    child = int(next(line for line in watched.log.last_lines() if line.isdigit()))
    watched.part.kill()
    wait_for(lambda: not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes())


def test_one_that_ends_at_once_is_told_with_its_last_lines(tmp_path: Path) -> None:
    watched = Watched(tmp_path, STUMBLES)
    watched.part.start()
    wait_for(lambda: watched.part.look() or len(watched.told) >= 4)
    watched.part.kill()
    assert watched.told[0] == "sample ended with exit code 3 soon after its start; it is started again in 0.5 s."
    assert watched.told[1] == "sample ended with exit code 3 soon after its start; it is started again in 1 s."
    assert watched.told[2] == f"That was 2 times in a row. Its log, {watched.log.path}, ends with:"
    assert watched.told[3] == "    no such file:  [31mlist.txt"  # without what a terminal would obey


def test_one_that_the_machine_does_not_start_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path, TALKS)

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as machine:
        machine.setattr("workers.service.part.subprocess.Popen", refused)
        watched.part.look()
    assert watched.told == ["sample cannot be started (Resource temporarily unavailable); it is tried again in 0.5 s."]
    wait_for(lambda: watched.part.look() or watched.part.pid is not None)
    watched.part.kill()


def test_pauses_grow_while_it_ends_at_once_and_begin_anew_after_a_life() -> None:
    now = [0.0]
    pauses = Pauses(lambda: now[0])
    waited = []
    for _ in range(9):
        pauses.began()
        waited.append(pauses.ended())
    assert waited == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert (waited[0], waited[-1]) == (FIRST_S, LONGEST_S)
    assert pauses.quick_ends == 9
    assert not pauses.over
    now[0] += LONGEST_S
    assert pauses.over
    pauses.began()
    now[0] += QUICK_S
    assert pauses.ended() == 0.0
    assert pauses.over
    assert pauses.quick_ends == 0
