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
from pathlib import Path
from types import TracebackType
from typing import Self

from celery import Celery

from workers.queue.redis_server import RedisServer
from workers.queue.tied_process import tied_command

__all__ = ["StockCelery"]

ROOT = Path(__file__).resolve().parents[2]
TASK = "stock.work"
READY_S = 120.0
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
    """`with StockCelery(visibility_s) as stock:` runs so many workers, which end with the thread that
    started them: leave it in the same one."""

    def __init__(self, visibility_s: float, workers: int = 2) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="interleaf-stock-"))
        self._redis = RedisServer(self._folder / "redis", tied=True)
        self._visibility_s, self._workers = visibility_s, workers
        self._processes: list[subprocess.Popen[bytes]] = []
        self.app: Celery | None = None

    def __enter__(self) -> Self:
        try:
            self._redis.start()
            self.app = _app(self._redis.url, self._visibility_s)
            for _ in range(self._workers):
                self.join()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._redis.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def join(self) -> None:
        """Start one more worker, and wait until it works. It looks for abandoned messages when it starts; afterwards
        each worker does so every 100 s."""
        assert self.app is not None
        command = [sys.executable, "-m", "tests.chaos.stock_celery", self._redis.url, str(self._visibility_s)]
        path = self._folder / f"worker-{len(self._processes)}.log"
        with path.open("wb") as log:
            self._processes.append(
                subprocess.Popen(tied_command(command), cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
            )
        until = time.monotonic() + READY_S
        while "ready." not in path.read_text(errors="replace"):
            assert time.monotonic() < until, f"stock Celery does not start: {path.read_text(errors='replace')}"
            time.sleep(0.05)

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


if __name__ == "__main__":
    _app(sys.argv[1], float(sys.argv[2])).worker_main([*WORKER, "--hostname", f"stock-{os.getpid()}"])
