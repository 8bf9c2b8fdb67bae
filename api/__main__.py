"""The door as a process: `python -m api`."""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

from api.app import create_app, prepare
from api.server import Server
from interleaf.errors import InterleafError, ServiceAway
from workers.queue.redis_server import reach
from workers.queue.tied_process import tie
from workers.service.listening import listening_socket, shown_address
from workers.service.patience import when_it_can
from workers.store.job_store import job_store

__all__ = ["main"]

QUEUE_ANSWERS_S = 1.0
LOG_FORMAT = "[%(asctime)s: %(levelname)s/%(name)s] %(message)s"


def main(arguments: Sequence[str]) -> int:
    """Bring the database to our schema, then answer until SIGTERM or SIGINT. The exit code."""
    parser = argparse.ArgumentParser(prog="api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one")
    parser.add_argument("--fd", type=int, help="a socket that listens; whoever had it has prepared the database")
    parser.add_argument("--new-key", action="store_true", help="make and print a further key for the operator")
    parser.add_argument("--parent", type=int, help="the process without which this one ends")
    said = parser.parse_args(arguments)
    if said.parent is not None:
        tie(said.parent)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # which version a database has is asked all the time
    try:
        _serve(said.host, said.port, said.fd, new_key=said.new_key)
    except InterleafError as error:
        _tell(f"error: {error.message}")
        return error.exit_code
    return 0


def _serve(host: str, port: int, fd: int | None, *, new_key: bool) -> None:
    # Celery's app is made by the settings when it is imported, and these may be wrong.
    from workers.queue.celery_app import app as queue
    from workers.queue.celery_app import broker_url
    from workers.queue.dispatch import Dispatcher

    store = job_store()
    chosen = store.settings
    with listening_socket(host, port) if fd is None else socket.socket(fileno=fd) as listening:
        if fd is None:
            # The one line that ever tells the first key: not into a log, and before anybody can need it.
            secret = when_it_can(lambda: prepare(store.database, new_key=new_key), (ServiceAway,), _tell)
            if secret is not None:
                _say(f"api key: {secret}")
        broker, dispatcher = broker_url(chosen), Dispatcher(queue, store)
        app = create_app(
            chosen,
            store.database,
            store.artifacts,
            deliver=dispatcher.deliver,
            send_new=dispatcher.send_new,
            queue_answers=lambda: reach(broker, QUEUE_ANSWERS_S),
        )
        server = Server(app, ready=lambda: _say(f"ready: {shown_address(listening)}") if fd is None else None)

        def stop(*_: Any) -> None:
            server.should_exit = True

        # While it runs, uvicorn has handlers of its own; it hands each signal on to these at its end.
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, stop)
        server.run(sockets=[listening])
    store.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
