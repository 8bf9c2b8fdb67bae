"""Supervisor: the whole service on one machine: starts its parts, watches them, and ends with all of them."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from interleaf.errors import OutputUnwritable, ServiceAway
from workers.service.broker import Broker
from workers.service.health import require_api
from workers.service.home_lock import held_home
from workers.service.listening import shown_address
from workers.service.part import Part
from workers.service.part_command import ROLES, Role, environment_of, part_command
from workers.service.part_log import PartLog
from workers.settings import Settings
from workers.store.api_keys import ApiKeys
from workers.store.database import Database
from workers.store.job_store import host_name
from workers.store.worker_beats import WorkerBeats

__all__ = ["Supervisor"]

LOOK_S: Final = 0.1
ANSWER_S: Final = 0.5
SLOW_START_S: Final = 30.0
# How long the parts may take to end: a run stops at its next step, a request in flight has 10 seconds.
STOP_S: Final = 45.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Everything that `interleaf serve` runs, over one data folder. `run` is for the main thread."""

    def __init__(
        self,
        chosen: Settings,
        listening: socket.socket,
        *,
        say: Callable[[str], None],
        tell: Callable[[str], None],
        echo: Callable[[str, str], None] | None = None,
        render_processes: int = 2,
        new_key: bool = False,
    ) -> None:
        """`listening` is where the API will answer. `say` gets the two lines that a program may wait for, `tell` what
        a person should know; `echo(role, line)`, from several threads, every line that a part logs.
        `render_processes`: files that are made at once. `new_key`: make and say a further key for the operator."""
        self._settings = chosen
        self._listening = listening
        self._say, self._tell, self._echo = say, tell, echo
        self._render_processes, self._new_key = render_processes, new_key
        self._logs = chosen.home / "logs"
        self._parts: list[Part] = []
        self._asked = 0

    def run(self) -> None:
        """Until SIGINT, SIGTERM or SIGHUP; a second one kills. RunBusy when a service runs on this data folder;
        OutputUnwritable, ServiceAway and DatabaseUnusable when it cannot start."""
        with ExitStack() as ending:
            ending.enter_context(self._heard())
            ending.enter_context(held_home(self._settings.home))
            self._make_logs()
            broker = None if self._settings.redis_url else Broker(self._settings, self._tell)
            if broker is not None:
                ending.callback(broker.stop)
                broker.start()
            database = Database(self._settings.job_database_url)
            ending.callback(database.close)
            database.upgrade()
            secret = ApiKeys(database).at_start(further=self._new_key)
            if secret is not None:
                self._say(f"api key: {secret}")
            ending.callback(self._stop)
            if self._asked:
                return
            self._start(broker)
            self._watch(broker, WorkerBeats(database))

    def _make_logs(self) -> None:
        try:
            self._logs.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputUnwritable(
                str(self._logs), f"cannot be made ({error.strerror}).", "Choose another data folder with --data."
            ) from error

    def _start(self, broker: Broker | None) -> None:
        # Every part speaks to this broker, also where its socket had to be put elsewhere.
        more = {} if broker is None else {"INTERLEAF_REDIS_URL": broker.url}
        environment = environment_of(self._settings, more)
        for role in ROLES:
            part = self._part(role, environment)
            self._parts.append(part)
            part.start()

    def _part(self, role: Role, environment: dict[str, str]) -> Part:
        echo = self._echo
        log = PartLog(self._logs / f"{role}.log", echo=None if echo is None else lambda line: echo(role, line))
        options, inherited = ["--parent", str(os.getpid())], []
        if role == "api":
            # It inherits the socket: who connects while it is started again waits and is answered.
            inherited = [self._listening.fileno()]
            options += ["--fd", str(self._listening.fileno())]
        elif role == "render":
            options += ["--processes", str(self._render_processes)]
        return Part(role, part_command(role, *options), environment, log, self._tell, pass_fds=inherited)

    def _watch(self, broker: Broker | None, beats: WorkerBeats) -> None:
        """Keep everything up until somebody asks to stop."""
        # The API last: it does not answer while it is starting, and would be waited for.
        waiting = sorted(self._parts, key=lambda part: part.role == "api")
        slow_s = time.monotonic() + SLOW_START_S
        while not self._asked:
            if broker is not None:
                broker.look()
            for part in self._parts:
                part.look()
            while waiting and self._answers(waiting[0], beats):
                waiting.pop(0)
                if not waiting:
                    self._say(f"ready: {shown_address(self._listening)}")
            if waiting and time.monotonic() > slow_s:
                slow_s += SLOW_START_S
                self._tell(f"still waiting for {', '.join(part.role for part in waiting)}; the logs: {self._logs}")
            time.sleep(LOOK_S)

    def _answers(self, part: Part, beats: WorkerBeats) -> bool:
        try:
            if part.role == "api":
                host, port = self._listening.getsockname()[:2]
                require_api(host, port, ANSWER_S)
                return True
            seen_at = beats.last_seen(part.role, host_name())
        except ServiceAway:
            return False
        # One that was seen earlier was of a service before this one.
        return seen_at is not None and seen_at >= part.began_at

    def _stop(self) -> None:
        """End all parts: cleanly, so that a job that is being worked on goes back to the queue, or by a second signal
        at once."""
        if self._asked == 1:
            self._tell("stopping; jobs go back to the queue. Ask again to stop at once.")
        # Nobody is to wait for an answer that nobody will give.
        self._listening.close()
        for part in self._parts:
            part.ask_to_end()
        deadline = time.monotonic() + STOP_S
        while any(part.pid is not None for part in self._parts):
            if self._asked > 1 or time.monotonic() > deadline:
                for part in self._parts:
                    part.kill()
                return
            time.sleep(LOOK_S / 2)

    @contextmanager
    def _heard(self) -> Iterator[None]:
        def note(*_: Any) -> None:
            self._asked += 1

        # Whoever starts it with nohup does not want it to end with the terminal.
        deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        before = {one: signal.signal(one, note) for one in _SIGNALS if not (deaf and one is signal.SIGHUP)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
