"""Stock Celery: workers with Celery's own defaults on a Redis of their own, the baseline of two chaos programs.

Only two things are set: the visibility time-out, which is what is compared, and late acknowledgement, without which the
job of a killed worker is lost for good. As a program it is a worker: `python -m tests.chaos.stock_celery URL SECONDS`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from celery import Celery

from workers.queue.redis_server import RedisServer
from workers.queue.tied_process import tied_command

__all__ = ["StockCelery"]

ROOT = Path(__file__).resolve().parents[2]
TASK = "stock.work"
# Its workers look for abandoned messages when they have run for so long, and then every tenth time.
FIRST_LOOK_S = 10.0
# A process that works in itself, as our compose worker does: killing it kills the work. It says when it is ready.
WORKER = ("worker", "--pool", "solo", "--loglevel", "INFO")


def _app(url: str, visibility_s: float) -> Celery:
    app = Celery("stock", broker=url, set_as_current=False)
    app.conf.update(task_acks_late=True, broker_transport_options={"visibility_timeout": visibility_s})

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def work(name: str, seconds: float, log: str) -> None:
        for said in ("began", "ended"):
            with Path(log).open("a") as file:
                file.write(f"{said} {name} {os.getpid()}\n")
            time.sleep(seconds if said == "began" else 0)

    return app


class StockCelery:
    """`with StockCelery(visibility_s) as stock:` runs two workers. Use it from the main thread."""

    def __init__(self, visibility_s: float, workers: int = 2) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="interleaf-stock-"))
        self._redis = RedisServer(self._folder / "redis", tied=True)
        self._visibility_s, self._workers = visibility_s, workers
        self._processes: list[subprocess.Popen[bytes]] = []
        self._began = 0.0
        self.app: Celery | None = None

    def __enter__(self) -> Self:
        self._redis.start()
        self.app = _app(self._redis.url, self._visibility_s)
        command = [sys.executable, "-m", "tests.chaos.stock_celery", self._redis.url, str(self._visibility_s)]
        for number in range(self._workers):
            with (self._folder / f"worker-{number}.log").open("wb") as log:
                self._processes.append(
                    subprocess.Popen(tied_command(command), cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
                )
        self._wait_for(lambda: all("ready." in text for text in self._logs()), "workers ready", 120.0)
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._redis.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def past_first_look(self) -> None:
        """Wait until the workers have run for so long that they look for abandoned messages as rarely as they do."""
        time.sleep(max(0.0, self._began + FIRST_LOOK_S + 2.0 - time.monotonic()))

    def send(self, name: str, seconds: float) -> None:
        """A job that takes so long."""
        assert self.app is not None
        self.app.send_task(TASK, args=[name, seconds, str(self._folder / "work.log")])

    def began(self, name: str) -> list[int]:
        """The processes that began it, in order."""
        return self._lines("began", name)

    def ended(self, name: str) -> list[int]:
        """The processes that ended it."""
        return self._lines("ended", name)

    def kill(self, pid: int) -> None:
        """`kill -9`; nobody starts it again."""
        os.kill(pid, signal.SIGKILL)

    def wait_for_began(self, name: str, times: int, timeout_s: float) -> float | None:
        """Seconds until it was begun so often; None when it was not."""
        begun = time.monotonic()
        while len(self.began(name)) < times:
            if time.monotonic() >= begun + timeout_s:
                return None
            time.sleep(0.02)
        return time.monotonic() - begun

    def _lines(self, said: str, name: str) -> list[int]:
        path = self._folder / "work.log"
        lines = [line.split() for line in path.read_text().splitlines()] if path.is_file() else []
        return [int(pid) for what, of, pid in lines if (what, of) == (said, name)]

    def _logs(self) -> list[str]:
        return [path.read_text(errors="replace") for path in sorted(self._folder.glob("worker-*.log"))]

    def _wait_for(self, what: Callable[[], bool], said: str, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        while not what():
            assert time.monotonic() < until, f"{said}: {self._logs()}"
            time.sleep(0.05)


if __name__ == "__main__":
    _app(sys.argv[1], float(sys.argv[2])).worker_main([*WORKER, "--hostname", f"stock-{os.getpid()}"])
