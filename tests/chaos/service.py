"""Chaos service: the parts of a service as real processes, of which any may be killed, frozen, or kept away.

Every part is what `interleaf serve ROLE` starts; only the workers that write are started by tests/chaos/paced_part.py,
so that a section takes as long as a program wants it to. Parts that end are started again, as a container engine would.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import httpx
import redis
from sqlalchemy import func, select

from interleaf import Client
from interleaf.errors import InterleafError
from interleaf.service.retrying import Retrying
from tests.chaos.database import ChaosDatabase, Kind
from tests.chaos.orders import order
from tests.workers import nursery
from tests.workers.nursery import Hatched
from workers.queue.redis_server import RedisServer
from workers.queue.tied_process import tied_command
from workers.settings import Settings
from workers.store.job_store import JobStore
from workers.store.tables import JobRow

__all__ = ["ChaosService"]

ROOT = Path(__file__).resolve().parents[2]
REDIS = "redis"
_POLL_S = 0.05
# What a part says when it has begun to do its work.
_READY = {"api": "ready: http", "beat": "beat: Starting"}
_WORKER_READY = " ready."
# Below the ports that systems give to whoever asks for any.
_PORTS = range(20_000, 30_000)


@dataclass
class _Part:
    """A part and its present process."""

    name: str
    command: list[str]
    """The name of a module, and its arguments."""
    wanted: bool = True
    """Whether it is started (again) when it does not run."""
    process: subprocess.Popen[bytes] | Hatched | None = None
    starts: int = 0
    log_from: int = 0
    """Where the words of the present process begin in the log, in bytes."""


class ChaosService:
    """`with ChaosService(...) as service:` gives a service that answers; leaving it ends every process of it.

    `composers`: compose workers; `beats`: processes that do the rounds; `edits`: with a library worker, which does
    those by excerpts. Other `values` are settings; the times are short unless they say otherwise.
    """

    forks: ClassVar[bool] = False
    """Whether parts are forked (tests/workers/nursery.py), as tests have it, in which they would import for most of
    the time; by hand each is started by its own command."""

    def __init__(
        self,
        database: Kind = "sqlite",
        *,
        composers: int = 2,
        beats: int = 1,
        edits: bool = False,
        home: Path | None = None,
        **values: object,
    ) -> None:
        self._own_home = home is None
        self.home = home or Path(tempfile.mkdtemp(prefix="interleaf-chaos-home-"))
        self.database = ChaosDatabase(database)
        times = {"lease_s": 3.0, "upkeep_s": 0.5, "resend_s": 60.0, "visibility_timeout_s": 600.0}
        self.settings = Settings(
            home=self.home,
            database_url=self.database.url,
            **{**times, **values},  # type: ignore[arg-type]
        )
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.store = JobStore(self.settings)
        self.key = ""
        self._redis = RedisServer(self.settings.redis_dir, tied=True)
        self._redis_wanted = True
        commands = self._commands(composers, beats, edits)
        self._parts = {name: _Part(name, command) for name, command in commands.items()}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        # Processes are tied to the thread that started them: it lives as long as they do.
        self._keeper = threading.Thread(target=self._keep, name="chaos-keeper")
        self.warmed: list[str] = []
        """Jobs that were ordered by `warm`."""
        self.troubles: list[str] = []
        """What went wrong in keeping the parts up."""

    # A service's life

    def __enter__(self) -> Self:
        self._keeper.start()
        try:
            self.key = self._first_key()
            self.wait_for(self._answers, "the service answers")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything, and remove the data folder unless it was given."""
        self._ending.set()
        if self._keeper.is_alive():
            self._keeper.join()
        self.store.close()
        self.database.close()
        if self._own_home:
            shutil.rmtree(self.home, ignore_errors=True)

    def client(self, retrying: Retrying | None = None) -> Client:
        """A client with the service's key, which goes on asking for minutes unless told otherwise."""
        patient = Retrying(attempts=200, within_s=240.0, away_s=240.0, most_s=1.0)
        return Client(self.address, self.key, timeout_s=20.0, retrying=retrying or patient)

    def requests(self) -> httpx.Client:
        """Bare HTTP with the service's key, which sends nothing twice."""
        return httpx.Client(base_url=self.address, headers={"Authorization": f"Bearer {self.key}"}, timeout=30.0)

    def warm(self) -> None:
        """Let every compose worker have worked; the jobs that this takes are in `warmed`."""
        made = self.warmed
        self.pace(0.5)
        with self.client() as client:

            def all_worked() -> bool:
                if sum(not client.jobs.get(job_id).final for job_id in made) < len(self.composers):
                    made.append(client.jobs.create(order(f"Warm {len(made)}")).id)
                    time.sleep(0.5)
                worked = {pid for number in range(len(made)) for pid, _ in self.begun(f"Warm {number}")}
                return worked >= {self.pid(name) for name in self.composers}

            self.wait_for(all_worked, "every compose worker has worked")
            for job_id in made:
                client.jobs.get(job_id).wait(120)
        self.pace(0.0)

    # What is done to it

    @property
    def composers(self) -> list[str]:
        """The compose workers."""
        return [name for name in self._parts if name.startswith("compose")]

    @property
    def names(self) -> list[str]:
        """The parts, Redis among them."""
        return [*self._parts, REDIS]

    def kill(self, name: str) -> bool:
        """`kill -9`; it is started again. False when it did not run."""
        return self._signal(name, signal.SIGKILL)

    def freeze(self, name: str) -> None:
        """SIGSTOP: it hangs."""
        assert self._signal(name, signal.SIGSTOP), f"{name} does not run"

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        assert self._signal(name, signal.SIGCONT), f"{name} does not run"

    def keep_away(self, name: str) -> None:
        """`kill -9`, and not started again before `let_back`."""
        self._want(name, False)
        self.kill(name)

    def let_back(self, name: str) -> None:
        """It may start again."""
        self._want(name, True)

    def flush_redis(self) -> bool:
        """Everything that Redis holds is gone; False when it could not be reached."""
        try:
            with redis.Redis(unix_socket_path=str(self._redis.socket_path), socket_timeout=5) as client:
                client.flushall()
        except redis.RedisError:
            return False
        return True

    def pace(self, section_s: float) -> None:
        """How long each section takes from now on."""
        aside = self.home / "pace.part"
        aside.write_text(str(section_s))
        aside.replace(self.home / "pace")

    # What is seen of it

    def pid(self, name: str) -> int | None:
        """Its process; None while it does not run."""
        if name == REDIS:
            return self._redis.pid
        process = self._parts[name].process
        return process.pid if process is not None and process.poll() is None else None

    def is_up(self, name: str) -> bool:
        """Whether its present process has begun to do its work."""
        if self.pid(name) is None or name == REDIS:
            return self.pid(name) is not None
        with (self.home / f"{name}.log").open("rb") as log:
            log.seek(self._parts[name].log_from)
            return _READY.get(name.partition("-")[0], _WORKER_READY).encode() in log.read()

    def composer_of(self, pid: int) -> str:
        """The compose worker with that process id."""
        return next(name for name in self._parts if self.pid(name) == pid)

    def begun(self, title: str) -> list[tuple[int, int]]:
        """(process, section) of every section that was begun of the piece with that title, in order."""
        path = self.home / "begun.log"
        lines = [line.split(" ", 2) for line in path.read_text().splitlines()] if path.is_file() else []
        return [(int(pid), int(section)) for pid, section, of in lines if of == title]

    def begun_by(self) -> list[int]:
        """The process of every section that was begun, of whatever piece, in order."""
        path = self.home / "begun.log"
        return [int(line.split(" ", 1)[0]) for line in path.read_text().splitlines()] if path.is_file() else []

    def ended_count(self) -> int:
        """How many jobs have ended, by the database: the API may not be there."""
        with self.store.database.reading() as session:
            return session.scalar(select(func.count()).where(JobRow.finished_at.is_not(None))) or 0

    def job_count(self) -> int:
        """How many jobs there are, by the database."""
        with self.store.database.reading() as session:
            return session.scalar(select(func.count()).select_from(JobRow)) or 0

    def starts(self) -> dict[str, int]:
        """How often each part was started."""
        return {name: part.starts for name, part in self._parts.items()}

    def log(self, name: str) -> str:
        """Everything that a part said."""
        path = self.home / f"{name}.log"
        return path.read_text(errors="replace") if path.is_file() else ""

    def last_words(self, chars: int = 1500) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {name}\n{self.log(name)[-chars:]}" for name in self._parts)

    def wait_for(self, what: Callable[[], bool], said: str, timeout_s: float = 120.0) -> float:
        """Seconds until it was so; AssertionError with the logs when it does not come to be."""
        begun = time.monotonic()
        while not what():
            assert time.monotonic() < begun + timeout_s, f"not within {timeout_s:g} s: {said}\n{self.last_words()}"
            time.sleep(_POLL_S)
        return time.monotonic() - begun

    def answers(self, status: int = 200) -> bool:
        """Whether /readyz answers with that status."""
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.address}/readyz", timeout=5).status_code == status
        return False

    # Inside

    def _answers(self) -> bool:
        return self.answers() and all(self.pid(name) is not None for name in self.names)

    def _commands(self, composers: int, beats: int, edits: bool) -> Mapping[str, list[str]]:
        paced = ["tests.chaos.paced_part"]
        # What `interleaf serve ROLE` becomes is forked by its own name.
        api = ["api"] if self.forks else ["interleaf", "serve", "api"]
        serve = ["workers.service.worker_part"] if self.forks else ["interleaf", "serve"]
        return {
            "api": [*api, "--port", str(self.port)],
            **{f"compose-{number}": [*paced, "compose"] for number in range(1, composers + 1)},
            **({"library": [*paced, "library"]} if edits else {}),
            "render": [*serve, "render"],
            **{f"beat-{number}": [*serve, "beat"] for number in range(1, beats + 1)},
        }

    def _first_key(self) -> str:
        found: list[str] = []

        def told() -> bool:
            found[:] = re.findall(r"^api key: (\S+)$", self.log("api"), re.M)
            return bool(found)

        self.wait_for(told, "the first start tells a key")
        return found[0]

    def _want(self, name: str, wanted: bool) -> None:
        if name == REDIS:
            self._redis_wanted = wanted
        else:
            self._parts[name].wanted = wanted

    def _signal(self, name: str, number: signal.Signals) -> bool:
        with self._lock:  # a process that was waited for has given its number away
            pid = self.pid(name)
            if pid is None:
                return False
            os.kill(pid, number)
            return True

    def _keep(self) -> None:
        while not self._ending.wait(_POLL_S):
            try:
                if self._redis_wanted and not self._redis.is_running:
                    self._redis.start()
            except InterleafError as error:
                self.troubles.append(f"redis: {error}")
            for part in self._parts.values():
                with self._lock:
                    if part.wanted and (part.process is None or part.process.poll() is not None):
                        self._begin(part)
        self._end_all()

    def _begin(self, part: _Part) -> None:
        chosen = self.settings.model_dump(exclude={"home"}, exclude_defaults=True)
        environment = {
            **os.environ,
            "INTERLEAF_HOME": str(self.home),
            **{f"INTERLEAF_{name.upper()}": str(value) for name, value in chosen.items() if value != ""},
        }
        path = self.home / f"{part.name}.log"
        part.starts += 1
        if self.forks:
            part.log_from = path.stat().st_size if path.exists() else 0
            part.process = nursery.begin(*part.command, environment=environment, log=path)
            return
        with path.open("ab") as log:
            part.log_from = log.tell()
            part.process = subprocess.Popen(
                tied_command([sys.executable, "-m", *part.command]),
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end_all(self) -> None:
        for part in self._parts.values():
            if part.process is not None:
                # Its whole session, which is only ours: a pool's children go with it.
                with suppress(ProcessLookupError):
                    os.killpg(part.process.pid, signal.SIGKILL)
                part.process.wait()
        self._redis.stop()


def _free_port() -> int:
    """A port that nobody listens at, and that no program gets which asks for any: the API comes back to it."""
    chance = random.SystemRandom()
    while True:
        port = chance.choice(_PORTS)
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                tried.bind(("127.0.0.1", port))
                return port
