"""Health: whether a part of the service works, asked from outside it."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Final

from interleaf.errors import ServiceAway
from workers.service.part_command import Worker
from workers.settings import Settings
from workers.store.database import Database
from workers.store.job_store import host_name
from workers.store.worker_beats import FRESH, WorkerBeats

__all__ = ["require_api", "require_worker"]

ANSWER_S: Final = 5.0


def require_api(host: str, port: int, timeout_s: float = ANSWER_S) -> None:
    """ServiceAway unless the API at that address says that it can take requests."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise ServiceAway(
            "api", f"does not answer at {host}:{port} ({error}).", "Start it with: interleaf serve api"
        ) from error
    finally:
        connection.close()
    if status != http.client.OK:
        raise ServiceAway("api", f"is not ready (status {status}).", "Its log says what it misses.")


def require_worker(chosen: Settings, role: Worker) -> None:
    """ServiceAway unless a worker of that role on this machine has shown a sign of life within the last half minute.
    DatabaseUnusable. Makes no database where there is none."""
    remedy = f"Start it with: interleaf serve {role}"
    url = chosen.job_database_url
    file = url.removeprefix("sqlite:///")
    if file != url and not Path(file).is_file():
        raise ServiceAway(role, f"there is no database at {file}, so nothing was ever started.", remedy)
    database = Database(url)
    try:
        database.require_schema()
        beats = WorkerBeats(database)
        seen_at, now = beats.last_seen(role, host_name()), beats.now()
    finally:
        database.close()
    if seen_at is None:
        raise ServiceAway(role, f"is not there on this machine ({host_name()}).", remedy)
    if now - seen_at > FRESH:
        ago_s = (now - seen_at).total_seconds()
        raise ServiceAway(role, f"was last seen {ago_s:.0f} seconds ago on this machine ({host_name()}).", remedy)
