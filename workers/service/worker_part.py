"""Worker part: one worker, or beat, as a process: `python -m workers.service.worker_part ROLE`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from interleaf.errors import DatabaseUnusable, InterleafError, ServiceAway
from workers.queue.tied_process import tie
from workers.service.part_command import WORKERS
from workers.service.patience import when_it_can
from workers.settings import settings
from workers.store.database import Database

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Wait for the database's schema, which the API brings up to date, then work until SIGTERM. The exit code."""
    parser = argparse.ArgumentParser(prog="worker_part", description=__doc__)
    parser.add_argument("role", choices=WORKERS)
    parser.add_argument("--processes", type=int, default=2, help="how many formats a render worker makes at once")
    parser.add_argument("--parent", type=int, help="the process without which this one ends")
    said = parser.parse_args(arguments)
    if said.parent is not None:
        tie(said.parent)
    try:
        # A connection of its own: pools fork later, and must not inherit one.
        database = Database(settings().job_database_url)
        when_it_can(database.require_schema, (ServiceAway, DatabaseUnusable), _tell)
        database.close()
        # Celery's app is made by the settings when it is imported.
        from workers.queue import worker_process

        worker_process.main(said.role, said.processes)
    except InterleafError as error:
        _tell(f"error: {error.message}")
        return error.exit_code
    return 0


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
