"""A model hub on this machine: the few addresses that fetching a checkpoint asks for, over real HTTP."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves the files of `folder` as the repository `owner/name`; keeps what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, str, str | None]] = []
        # No byte of a file beyond this one is sent: the line goes dead there, however often it is tried.
        self.dead_at_byte: int | None = None
        self.wrong_sha256: str | None = None
        self.address = ""

    @contextmanager
    def serving(self) -> Iterator[str]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        self.address = f"http://127.0.0.1:{server.server_port}"
        yield self.address
        server.shutdown()
        server.server_close()

    def files_asked_for(self) -> set[str]:
        return {path.rsplit("/", 1)[1] for method, path, _ in self.asked if method == "GET" and "/resolve/" in path}

    def listed(self, path: Path) -> dict[str, object]:
        """A file as the hub lists it; large ones with their sha256."""
        entry: dict[str, object] = {"rfilename": path.name, "size": path.stat().st_size, "blobId": "0" * 40}
        if path.suffix == ".bin":
            digest = self.wrong_sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
            entry["lfs"] = {"sha256": digest, "size": path.stat().st_size, "pointerSize": 130}
        return entry

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                """Nothing on the test's output."""

            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def _answer(self, body: bool) -> None:
                hub.asked.append((self.command, self.path, self.headers.get("Range")))
                found = re.fullmatch(r"/owner/name/resolve/[^/]+/([^/?]+)", self.path.split("?")[0])
                if self.path.startswith("/api/models/owner/name"):
                    files = [hub.listed(path) for path in sorted(hub.folder.iterdir())]
                    listing = {"id": "owner/name", "sha": COMMIT, "siblings": files}
                    self._send(200, json.dumps(listing).encode(), {}, body)
                elif found and (hub.folder / found[1]).is_file():
                    self._file((hub.folder / found[1]).read_bytes(), body)
                else:
                    self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)

            def _file(self, content: bytes, body: bool) -> None:
                headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
                headers["Accept-Ranges"] = "bytes"
                wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
                start = int(wanted[1]) if wanted else 0
                if start:
                    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                dead = hub.dead_at_byte
                if body and dead is not None and len(content) > dead:
                    self._head(206 if start else 200, len(content) - start, headers)
                    self.wfile.write(content[start:dead])
                    self.wfile.flush()
                    self.close_connection = True
                    return
                self._send(206 if start else 200, content[start:], headers, body)

            def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()

            def _send(self, status: int, content: bytes, headers: dict[str, str], body: bool) -> None:
                self._head(status, len(content), headers)
                if body:
                    self.wfile.write(content)

        return Handler
