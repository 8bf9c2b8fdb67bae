"""Orders a piece and is told when it is ready, instead of asking again and again; saves the page.

INTERLEAF_OUTBOUND_PRIVATE=true interleaf serve  # may speak to this machine; prints the key and the address
export INTERLEAF_SERVER=http://127.0.0.1:8000
export INTERLEAF_API_KEY=ilk_…
python examples/service/receive_webhooks.py examples/tides/brief.yaml out

In service the address is one of the internet, over https, and the webhook is made once, not with each order.
"""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue

from interleaf import Client
from interleaf.errors import SignatureRefused
from interleaf.webhooks import WebhookMessage, verify

MAX_BYTES = 20_000


class Inbox(ThreadingHTTPServer):
    """Takes what is signed with one of its secrets, and every message once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.secrets: list[str] = []
        self.messages: SimpleQueue[WebhookMessage] = SimpleQueue()
        self.seen: set[str] = set()


class Receiver(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers["Content-Length"]), MAX_BYTES))
        try:
            message = verify(body, dict(self.headers), *self.server.secrets)
        except SignatureRefused as error:
            self.send_error(400, str(error))
            return
        if message.id not in self.server.seen:  # what was lost on the way is sent again
            self.server.seen.add(message.id)
            self.server.messages.put(message)
        self.send_response(204)
        self.end_headers()


def main(brief: Path, folder: Path) -> Path:
    """The page of the piece."""
    with Client() as client, Inbox() as inbox:
        threading.Thread(target=inbox.serve_forever, daemon=True).start()
        webhook = client.webhooks.create(f"http://127.0.0.1:{inbox.server_port}/interleaf")
        inbox.secrets.append(webhook.secret)
        try:
            job = client.jobs.create(brief)
            message = inbox.messages.get(timeout=600)
            print(f"{message.type}: {message.data['id']} is {message.data['state']}")
            document = client.documents.get(message.data["document_id"])
            for delivery in client.webhook_deliveries.each(webhook=webhook):
                print(f"{delivery.event} of job {job.id}: {delivery.state} after {delivery.attempt_count} attempts")
            return client.artifacts.download(document.artifact("html"), folder / "article.html")
        finally:
            client.webhooks.delete(webhook)
            inbox.shutdown()


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2])))
