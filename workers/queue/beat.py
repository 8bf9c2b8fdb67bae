"""Beat: a Celery scheduler that does its rounds in its own process, so that they need neither Redis nor a worker."""

from __future__ import annotations

import logging
from typing import Any

from celery.beat import ScheduleEntry, Scheduler

from interleaf.errors import InterleafError

__all__ = ["HereScheduler"]

log = logging.getLogger(__name__)


class HereScheduler(Scheduler):  # type: ignore[misc] # untyped
    """Calls what is due instead of sending a message for it. Keeps nothing on disk: every entry is due at the start.

    Several may run: the rounds of the reconciler and of the outbox do everything once.
    """

    # Celery would open a connection before it applies an entry, and wait for a broker that is away.
    producer = None

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        try:
            self.app.tasks[entry.task](*entry.args, **entry.kwargs)
        except InterleafError as error:
            # The database or the broker is away: the next round is soon.
            log.warning("%s: %s", entry.task, error)
        except Exception:
            log.exception("%s failed", entry.task)

    def close(self) -> None:
        """Beat ends."""
        # The tasks know the app, and the app names this scheduler.
        from workers.queue.tasks import end_beats

        end_beats()
        super().close()
