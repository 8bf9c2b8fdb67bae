"""Broker: our own Redis as a part of the service, started again when it ends."""

from __future__ import annotations

from collections.abc import Callable

from interleaf.errors import InterleafError
from workers.queue.redis_server import RedisServer
from workers.service.pauses import Pauses
from workers.settings import Settings

__all__ = ["Broker"]


class Broker:
    """The message broker of one data folder. All methods are for the main thread: it is tied to it."""

    def __init__(self, chosen: Settings, tell: Callable[[str], None]) -> None:
        """`tell` gets a line for a person when it ended."""
        self._server = RedisServer(chosen.redis_dir, max_memory_mb=chosen.redis_memory_mb, tied=True)
        self._tell = tell
        self._pauses = Pauses()
        self._up = False

    @property
    def url(self) -> str:
        """As INTERLEAF_REDIS_URL says it."""
        return self._server.url

    def start(self) -> None:
        """Start it and wait until it answers. RunBusy; ServiceAway; OutputUnwritable; Unsupported."""
        self._pauses.began()
        self._server.start()
        self._up = True

    def look(self) -> None:
        """See whether it ended, tell so, and start it again when it is time to. No message that is lost loses a job."""
        if self._server.is_running:
            return
        if self._up:
            self._up = False
            self._tell(f"redis ended; it is started again in {self._pauses.ended():g} s.")
        if self._pauses.over:
            try:
                self.start()
            except InterleafError as error:
                self._tell(f"{error.message} It is tried again in {self._pauses.ended():g} s.")

    def stop(self) -> None:
        """Write everything down and end it."""
        self._server.stop()
