"""What a run leaves behind is gone after it, also with much set aside; what is let go of goes, also when set aside."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest

from workers.run import process_memory
from workers.run.process_memory import SHARE, ProcessMemory


class Ring:
    """Garbage that holds itself."""

    def __init__(self) -> None:
        self.own = self


def ring() -> weakref.ref[Ring]:
    return weakref.ref(Ring())


class Clock:
    """Moves as it is told, and by `step_s` at each look."""

    def __init__(self) -> None:
        self.now_s, self.step_s = 100.0, 0.0

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


@pytest.fixture(autouse=True)
def by_hand() -> Iterator[None]:
    """Python's own collector stands still, and nothing stays set aside for the tests that follow."""
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


def test_garbage_of_a_run_is_gone_after_it() -> None:
    memory = ProcessMemory(Clock())
    left = ring()
    assert left() is not None
    assert memory.tidy()
    assert left() is None


def test_what_lives_on_is_set_aside_and_the_garbage_of_the_next_run_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_memory, "SET_ASIDE", 1_000)
    memory = ProcessMemory(Clock())
    kept = [[number] for number in range(2_000)]
    assert memory.tidy()
    assert gc.get_freeze_count() > len(kept)
    before = gc.get_freeze_count()
    left = ring()
    assert memory.tidy()
    assert left() is None
    assert gc.get_freeze_count() <= before, "what a run needs for itself is not set aside"


def test_few_objects_are_not_worth_setting_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_memory, "SET_ASIDE", 10**9)
    assert ProcessMemory(Clock()).tidy()
    assert gc.get_freeze_count() == 0


def test_what_was_set_aside_goes_when_it_is_let_go_of() -> None:
    memory = ProcessMemory(Clock())
    model = Ring()
    left = weakref.ref(model)
    gc.freeze()
    del model
    assert memory.tidy()
    assert left() is not None, "or this proves nothing"
    memory.tidy_all()
    assert left() is None
    assert gc.get_freeze_count() == 0


def test_looking_takes_no_more_than_its_share_of_the_time() -> None:
    clock = Clock()
    memory = ProcessMemory(clock)
    clock.step_s = 0.2  # so long takes the look
    assert memory.tidy()
    clock.step_s = 0.0
    clock.now_s += 0.19 / SHARE
    left = ring()
    assert not memory.tidy()
    assert left() is not None
    clock.now_s += 0.02 / SHARE
    assert memory.tidy()
    assert left() is None


def test_letting_go_does_not_wait() -> None:
    clock = Clock()
    clock.step_s = 10.0
    memory = ProcessMemory(clock)
    assert memory.tidy()
    left = ring()
    memory.tidy_all()
    assert left() is None


def test_of_two_that_look_one_goes_on_with_its_work() -> None:
    inside, leave = threading.Event(), threading.Event()

    def clock() -> float:
        if threading.current_thread().name == "slow":
            inside.set()
            leave.wait(30)
        return 0.0

    memory = ProcessMemory(clock)
    slow = threading.Thread(target=memory.tidy, name="slow")
    slow.start()
    assert inside.wait(30)
    assert not memory.tidy()
    leave.set()
    slow.join()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc hands memory back when asked")
def test_free_memory_goes_back_to_the_machine() -> None:
    """Small pieces, the last one kept: the heap cannot shrink at its end by itself."""
    code = """
import ctypes, os
from workers.run.process_memory import ProcessMemory

def own_mib():
    resident, of_files = map(int, open("/proc/self/statm").read().split()[1:3])
    return (resident - of_files) * os.sysconf("SC_PAGE_SIZE") / 2**20

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.memset.restype = ctypes.c_void_p
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
pieces = [libc.malloc(60_000) for _ in range(2_000)]
for piece in pieces:
    libc.memset(piece, 1, 60_000)
kept = pieces.pop()
for piece in pieces:
    libc.free(piece)
before = own_mib()
ProcessMemory().tidy()
print(before - own_mib())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert float(said.stdout) > 60, "of 114 MiB"
