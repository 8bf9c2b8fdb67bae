"""Worker process: starts what Celery runs, with the pool of its queue: `python -m workers.queue.worker_process`."""

from __future__ import annotations

import sys
from typing import Final, Literal

from workers.queue.celery_app import COMPOSE, LIBRARY, RENDER, SEARCH, app

__all__ = ["Role", "argv_of", "main"]

Role = Literal["compose", "render", "library", "beat"]

# Children of a render worker are replaced after so many files: memory that a native library lost comes back.
_FILES_PER_CHILD: Final = 200
# Some of them add pictures, the others answer those who search (library_work.py).
_LIBRARY_THREADS: Final = 4


def argv_of(role: Role, processes: int = 2, loglevel: str = "INFO") -> list[str]:
    """The arguments of Celery for a role. `processes`: how many formats a render worker makes at once."""
    if role == "beat":
        return ["beat", "--loglevel", loglevel, "--pidfile", ""]
    common = ["worker", "--loglevel", loglevel, "--without-gossip", "--without-mingle", "--without-heartbeat"]
    if role == "compose":
        # One job at a time, in the process itself: CUDA does not survive a fork, and one model fills a GPU.
        return [*common, "--queues", COMPOSE, "--pool", "solo", "--hostname", "compose-%h"]
    if role == "library":
        # Threads, so that one encoder and the open indexes serve everybody.
        queues = ",".join((LIBRARY, SEARCH))
        pool = ("--pool", "threads", "--concurrency", str(_LIBRARY_THREADS))
        return [*common, "--queues", queues, *pool, "--hostname", "library-%h"]
    return [
        *common,
        *("--queues", RENDER, "--pool", "prefork", "--concurrency", str(processes)),
        *("--max-tasks-per-child", str(_FILES_PER_CHILD), "--hostname", "render-%h"),
    ]


def main(role: Role, processes: int = 2, loglevel: str = "INFO") -> None:
    """Run until it is told to stop (SIGTERM: cleanly, jobs go back to the queue)."""
    app.start(argv_of(role, processes, loglevel))


if __name__ == "__main__":
    main(sys.argv[1], *(int(number) for number in sys.argv[2:3]))  # type: ignore[arg-type]
