"""The program of nursery.py: imports what workers import, then forks them as it is told.

Run as `python nursery_program.py SOCKET`, with the number of an open socket.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "sdk")]

_MESSAGE_BYTES: Final = 2**17
# Not workers.queue.celery_app: its app is made, when it is imported, of the settings that the environment then has.
_IMPORTED: Final = (
    "agents.extractive",
    "agents.model_writer",
    "api.app",
    "api.server",
    "celery.app.trace",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.concurrency.solo",
    "celery.concurrency.thread",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "retrieval.pictures.ingest",
    "templates.html",
    "templates.markdown_bundle",
    "templates.press",
    "tests.fake_engine",
    "tests.fakes",
    "workers.composing",
    "workers.editing",
    "workers.library.librarian",
    "workers.run.mind",
    "workers.service.worker_part",
    "workers.store.job_store",
    "workers.wiring",
)


def serve(told: socket.socket) -> dict[str, Any] | None:
    """Do as told until nobody is left who could tell: None. In a process that was forked: what it was told to be."""
    begun: set[int] = set()
    while message := told.recv(_MESSAGE_BYTES):
        asked = json.loads(message)
        if "begin" in asked:
            pid = os.fork()
            if not pid:
                return dict(asked)
            begun.add(pid)
            answer: int | None = pid
        else:
            answer = ended(asked["ended"])
            if answer is not None:
                begun.discard(asked["ended"])
        told.send(json.dumps(answer).encode())
    for pid in begun:
        if ended(pid) is None:
            os.killpg(pid, signal.SIGKILL)
    return None


def ended(pid: int) -> int | None:
    """The exit status of a process that has ended; as with every child, its number is its own until then."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def become(asked: dict[str, Any]) -> None:
    """Be that program, as if started by a shell."""
    os.setsid()
    os.environ.clear()
    os.environ.update(asked["environment"])
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for opened, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(opened, number)
    os.close(log)
    os.close(nothing)
    program = asked["begin"][0]
    sys.argv[:] = asked["begin"]
    if not program.endswith(".py"):
        runpy.run_module(program, run_name="__main__", alter_sys=True)
        return
    sys.path.insert(0, str(Path(program).parent))
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    for name in _IMPORTED:
        importlib.import_module(name)
    assert "workers.queue.celery_app" not in sys.modules, "the settings would be those of this process"
    threads = list(Path("/proc/self/task").iterdir())
    assert len(threads) == 1, "threads do not survive a fork"
    gc.freeze()  # a fork shares these pages as long as nobody writes there
    with socket.socket(fileno=int(sys.argv[1])) as control:
        order = serve(control)
    if order is not None:
        become(order)
