"""Part: one process of the service, started again whenever it ends without having been asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from workers.service.part_log import PartLog
from workers.service.pauses import Pauses

__all__ = ["Part"]

LAST_WORDS_S: Final = 0.5


class Part:
    """The process of a role, and what becomes of it. All methods are for one thread, which must live as long as the
    process does: the part is tied to it."""

    def __init__(
        self,
        role: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: PartLog,
        tell: Callable[[str], None],
        *,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """`tell` gets a line for a person when it ended."""
        self.role = role
        self.began_at = datetime.now(UTC)
        """When it was started last."""
        self._command, self._environment, self._pass_fds = command, environment, tuple(pass_fds)
        self._log = log
        self._tell = tell
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._pauses = Pauses()

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it now. OSError when the machine does not allow it."""
        self._log.forget_last()
        self.began_at = datetime.now(UTC)
        self._pauses.began()
        self._process = subprocess.Popen(  # noqa: S603 (our own program and our own arguments)
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=self._pass_fds,
            # Ctrl-C in a terminal is for the supervisor to hear, and what the part starts can be ended with it.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._reader = self._log.read_from(self._process.stdout)

    def look(self) -> None:
        """See whether it ended, tell so, and start it again when it is time to."""
        if self._process is not None and self._process.poll() is not None:
            self._ended(self._process.returncode)
            self._process = None
        if self._process is None and self._pauses.over:
            try:
                self.start()
            except OSError as error:  # no memory, too many processes or files: others may end
                pause_s = self._pauses.ended()
                self._tell(f"{self.role} cannot be started ({error.strerror}); it is tried again in {pause_s:g} s.")

    def ask_to_end(self) -> None:
        """SIGTERM: it ends by itself when it can."""
        if self.pid is not None and self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to it and to all that it started; waits until it is gone."""
        if self.pid is not None and self._process is not None:
            with suppress(ProcessLookupError):  # it ended in this moment
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _ended(self, returncode: int) -> None:
        how = f"was killed by {_signal_name(-returncode)}" if returncode < 0 else f"ended with exit code {returncode}"
        # Its last words may still be on their way; whatever it started may keep the line open.
        if self._reader is not None:
            self._reader.join(LAST_WORDS_S)
        pause_s = self._pauses.ended()
        if not self._pauses.quick_ends:
            self._tell(f"{self.role} {how}; it is started again.")
            return
        self._tell(f"{self.role} {how} soon after its start; it is started again in {pause_s:g} s.")
        if self._pauses.quick_ends > 1:
            self._tell(f"That was {self._pauses.quick_ends} times in a row. Its log, {self._log.path}, ends with:")
            for line in self._log.last_lines():
                self._tell(f"    {line}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
