"""Receiver: a webhook's other side on this machine, which answers as a test says and notes what it hears."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from interleaf.webhooks import WebhookMessage, verify

WAIT_S = 30.0


@dataclass(frozen=True)
class Heard:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def message(self, *secrets: str) -> WebhookMessage:
        """What it says, if it was signed with one of these."""
        return verify(self.body, self.headers, *secrets)


class Receiver:
    """`answers` are statuses, or what to do before 200 is answered; the last one holds from then on."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/in?token=geheim"
        self.answers: list[int | Callable[[], object]] = [200]
        self.heard: list[Heard] = []
        self.headers: dict[str, str] = {}
        self._changed = threading.Condition()

    def hears(self, count: int, timeout_s: float = WAIT_S) -> list[Heard]:
        """What was heard, once it is so much."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while len(self.heard) < count:
                left = until - time.monotonic()
                assert left > 0, f"heard {len(self.heard)} of {count} requests"
                self._changed.wait(left)
            return list(self.heard)

    def take(self, heard: Heard) -> int:
        with self._changed:
            self.heard.append(heard)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self._changed.notify_all()
        if callable(answer):
            answer()
            return 200
        return answer


R = TypeVar("R", bound=Receiver)


@contextmanager
def receiving(make: Callable[[int], R] = Receiver) -> Iterator[R]:  # type: ignore[assignment]
    """A receiver at a port of its own, which `make` makes of the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(Heard(self.path, headers, body))
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:  # the sender was killed, or waits no longer
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = make(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
