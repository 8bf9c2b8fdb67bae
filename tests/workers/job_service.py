"""A service of real processes over one data folder: our own Redis, Celery workers, beat; without the API."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from interleaf.errors import ServiceAway
from tests.fresh_database import make_fresh
from tests.workers import nursery
from tests.workers.nursery import Hatched
from workers.queue.celery_app import make_app
from workers.queue.dispatch import Dispatcher
from workers.queue.redis_server import RedisServer
from workers.settings import Settings
from workers.store.ids import new_id
from workers.store.job import Job
from workers.store.job_store import JobStore
from workers.store.tables import ApiKeyRow

PROGRAM = Path(__file__).with_name("paced_worker.py")

NOTES = """# Tides

The sea rises and falls twice a day because of the moon. Spring tides come at new moon and full moon.

## Mills

A tide mill stores water behind a dam at high tide. The water turns the wheel when the sea has fallen.

## Harbours

Ships wait for high tide before they enter a shallow harbour. Locks keep the water in the basin.

## Life

Mussels close their shells while they are dry. Crabs hide under stones until the water returns.
"""


class JobService:
    """Everything that one test starts, with short times; `stop` ends it all."""

    def __init__(self, home: Path, **values: object) -> None:
        self.home = home
        times = {"lease_s": 2.0, "upkeep_s": 0.3, "resend_s": 60.0, "visibility_timeout_s": 600.0}
        self.settings = Settings(home=home, **{**times, **values})  # type: ignore[arg-type]
        self.redis = RedisServer(self.settings.redis_dir)
        self.store = JobStore(self.settings)
        self.dispatcher = Dispatcher(make_app(self.settings), self.store)
        self.processes: list[Hatched | subprocess.Popen[bytes]] = []
        self.owner = ""
        self.program = PROGRAM

    def start(self, *roles: str) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        make_fresh(self.store.database, self.settings.job_database_url)
        self.owner = new_id("key", datetime.now(UTC))
        with self.store.database.transaction() as session:
            session.add(
                ApiKeyRow(
                    id=self.owner,
                    prefix="",
                    secret_sha256=os.urandom(32),
                    name="test",
                    scopes=[],
                    created_at=datetime.now(UTC),
                )
            )
        self.redis.start()
        for role in roles:
            self.begin(role)

    def begin(self, role: str) -> Hatched:
        """Start one process of that role."""
        chosen = self.settings.model_dump(exclude={"home"}, exclude_defaults=True)
        env = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "INTERLEAF_HOME": str(self.home),
            **{f"INTERLEAF_{name.upper()}": str(value) for name, value in chosen.items()},
        }
        log = self.home / f"{role}-{len(self.processes)}.log"
        process = nursery.begin(self.program, role, environment=env, log=log)
        self.processes.append(process)
        return process

    def halt(self) -> None:
        """End the processes, and nothing else."""
        for process in self.processes:
            if process.poll() is None:
                # Its whole session, which is only ours: a pool's children go with it.
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        self.halt()
        self.redis.stop()
        self.store.close()

    def pace(self, *section_s: float) -> None:
        """How long each section takes from now on: the first, the second, …, and all that follow the last number."""
        aside = self.home / "pace.part"
        aside.write_text(" ".join(map(str, section_s)))
        aside.replace(self.home / "pace")

    def submit(self, send: bool = True, **fields: Any) -> Job:
        brief: dict[str, Any] = {
            "instruction": "Explain the tides.",
            "sources": [{"text": NOTES, "name": "tides.md"}],
            "formats": ["html", "md"],
            **fields,
        }
        job = self.store.jobs.create(self.owner, "article", brief)
        if send:
            self.send(job)
        return job

    def send(self, job: Job) -> None:
        """As the API does: at once if it can be; beat sends what could not."""
        with suppress(ServiceAway):
            self.dispatcher.deliver(job.id)

    def get(self, job: Job) -> Job:
        return self.store.jobs.get(job.id, self.owner)

    def wait(self, job: Job, until: str | Callable[[Job], bool] = "final", timeout_s: float = 120) -> Job:
        """The job when it is in that state (`final`: any final one), or fits; AssertionError with the logs."""

        def fits(now: Job) -> bool:
            if callable(until):
                return until(now)
            return now.final if until == "final" else now.state == until

        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            now = self.get(job)
            if fits(now):
                return now
            assert not now.final, f"ended as {now.state}: {now.error}\n{self.logs()}"
            time.sleep(0.03)
        raise AssertionError(f"still {self.get(job)}\n{self.logs()}")

    def wait_for(self, what: Callable[[], bool], timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while not what():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.03)

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.home.glob("*-*.log")))

    def events(self, job: Job) -> list[tuple[str, Mapping[str, Any]]]:
        """Every event; their ids are 1, 2, 3, … without a hole."""
        page = self.store.events.after(job.id, self.owner, limit=1000)
        assert [event.id for event in page.events] == list(range(1, len(page.events) + 1))
        return [(event.name, event.data) for event in page.events]

    def names(self, job: Job) -> list[str]:
        return [name for name, _ in self.events(job)]

    def begun(self) -> list[tuple[int, int]]:
        """(process, section) of every section that was begun, in order."""
        path = self.home / "begun.log"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [(int(pid), int(section)) for pid, section in (line.split()[:2] for line in lines)]
