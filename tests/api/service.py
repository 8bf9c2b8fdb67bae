"""Service: a door with its database and files, keys for several people, and what a worker would do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from starlette.testclient import TestClient

from api.app import create_app
from api.limits import Limits
from api.server import Server, listening_socket
from interleaf.schema import Article
from tests.fresh_database import make_fresh
from workers.outbound.outbound import Outbound
from workers.settings import Settings
from workers.store.api_keys import ApiKeys, Quotas
from workers.store.artifacts import ArtifactStore
from workers.store.database import Database
from workers.store.ids import new_id
from workers.store.job import Claim, Job
from workers.store.jobs import Jobs
from workers.store.leases import Leases
from workers.store.results import Results
from workers.store.tables import ArtifactRow, DocumentFileRow, DocumentRow, DocumentVersionRow

BRIEF = {"instruction": "Say what the tide is.", "sources": [{"text": "The tide is the rise of the sea."}]}
ALL = ("jobs:read", "jobs:write", "library:write")


class Service:
    """Everything of one service; `client()` is Alice's unless another key is handed in."""

    def __init__(self, home: Path, limits: dict[str, Any], database_url: str = "") -> None:
        self.settings = Settings(home=home, database_url=database_url)
        self.limits = Limits(**({"poll_min_s": 0.01, "poll_max_s": 0.05} | limits))
        self.database = Database(self.settings.job_database_url)
        make_fresh(self.database, self.settings.job_database_url)
        self.admin = ApiKeys(self.database).at_start() or ""
        self.store = ArtifactStore(self.settings.artifacts_url)
        self.keys = ApiKeys(self.database)
        self.jobs = Jobs(self.database)
        self.leases = Leases(self.database)
        self.sent: list[str] = []
        self.outbound = Outbound(https=True, resolver=self.resolve)
        self._open = ExitStack()
        self.alice_id, self.alice = self.key("alice")
        self.bob_id, self.bob = self.key("bob")

    def key(self, name: str, scopes: Any = ALL, **quotas: Any) -> tuple[str, str]:
        """Id and secret of a new key."""
        made, secret = self.keys.create(name, scopes, Quotas(**quotas))
        return made.id, secret

    @cached_property
    def app(self) -> Any:
        return create_app(
            self.settings,
            self.database,
            self.store,
            deliver=self.deliver,
            limits=self.limits,
            outbound=self.outbound,
        )

    def resolve(self, host: str, port: int) -> list[str]:
        """Stands where the names of the internet are."""
        if host.endswith(".nowhere.example"):
            raise OSError("no such name")
        return [
            "192.168.7.7"
            if host.endswith(".private.example")
            else host
            if host[0].isdigit() or ":" in host
            else "8.8.8.8"
        ]

    def deliver(self, job_id: str) -> None:
        """Stands where the queue is."""
        self.sent.append(job_id)

    @cached_property
    def _portal(self) -> TestClient:
        # One event loop for the life of the application, as with a server.
        return self._open.enter_context(TestClient(self.app, raise_server_exceptions=False))

    def client(self, secret: str | None = None) -> Client:
        """Speaks to the application in-process."""
        return Client(self._portal, self.alice if secret is None else secret)

    @contextmanager
    def served(self) -> Iterator[str]:
        """The service on a socket; gives its address."""
        listening = listening_socket("127.0.0.1", 0)
        server = Server(self.app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            listening.close()
            assert not thread.is_alive(), "the server did not stop"

    def headers(self, secret: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.alice if secret is None else secret}"}

    def close(self) -> None:
        self._open.close()
        self.database.close()

    # What a worker does

    def create(self, owner: str | None = None, **fields: Any) -> Job:
        """A job whose id comes after those of all earlier ones: ids of one millisecond come in any order."""
        time.sleep(0.001)
        return self.jobs.create(owner or self.alice_id, "article", BRIEF, **fields)

    def claim(self, job_id: str) -> Claim:
        found = self.leases.claim(job_id, "worker-1", 60.0)
        assert found is not None
        return found

    def finish(self, job_id: str) -> None:
        self.leases.finish(self.claim(job_id), "succeeded", result={"document_id": None})

    def document(self, owner: str | None = None, title: str = "Tides") -> str:
        """A document in two versions."""
        time.sleep(0.002)  # ids of one millisecond come in any order
        now = datetime.now(UTC)
        document_id = new_id("doc", now)
        with self.database.transaction() as session:
            session.add(
                DocumentRow(
                    id=document_id,
                    owner=owner or self.alice_id,
                    job_id=None,
                    title=title,
                    version=2,
                    article={"title": title, "blocks": [{"id": "b-1", "type": "heading", "text": "new"}]},
                    created_at=now,
                )
            )
            session.flush()
            session.add(
                DocumentVersionRow(document_id=document_id, version=1, article={"title": "old"}, created_at=now)
            )
        return document_id

    def artifact(self, content: bytes, media_type: str = "text/html", **fields: Any) -> str:
        """A file that a job made."""
        now = datetime.now(UTC)
        artifact_id = new_id("art", now)
        kept = self.store.put(f"jobs/x/{artifact_id}", [content])
        values = {"owner": self.alice_id, "job_id": None, "document_id": None, "format": "html"} | fields
        with self.database.transaction() as session:
            session.add(
                ArtifactRow(
                    id=artifact_id,
                    media_type=media_type,
                    bytes=kept.bytes,
                    sha256=kept.sha256,
                    file_key=kept.key,
                    created_at=now,
                    **values,
                )
            )
            session.flush()
            if values["document_id"] is not None:
                told = {name: values[name] for name in ("document_id", "format")}
                session.add(DocumentFileRow(version=2, artifact_id=artifact_id, **told))
        return artifact_id

    def piece(self, article: Article, owner: str | None = None, **fields: Any) -> str:
        """A document as its job leaves it, with its files."""
        brief = BRIEF | {"formats": ["html", "md"], "theme": "paper"} | fields
        claim = self.claim(self.jobs.create(owner or self.alice_id, "article", brief).id)
        results = Results(self.database, self.leases)
        content = article.model_dump_json().encode()
        document = results.keep_document(claim, article, self.store.put(f"jobs/x/{claim.job_id}-json", [content]))
        for format in ("html", "md"):
            file = self.store.put(f"jobs/x/{claim.job_id}-{format}", [format.encode()])
            results.keep_file(claim, document.id, format, "text/plain", file, ("html", "md"))
        return document.id


class Client:
    """A client with a key. Holds every answer against what every answer must have."""

    def __init__(self, portal: TestClient, secret: str) -> None:
        self._portal = portal
        self._headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    def ask(self, method: str, path: str, **said: Any) -> httpx.Response:
        headers = self._headers | said.pop("headers", {})
        answer: Any = self._portal.request(method, path, headers=headers, **said)
        assert answer.headers["X-Request-Id"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json"
            if method == "HEAD":
                return answer  # type: ignore[no-any-return]
            told = answer.json()
            assert told["status"] == answer.status_code
            assert told["type"] == f"/v1/problems/{told['code']}"
            assert told["request_id"] == answer.headers["X-Request-Id"]
            assert "Traceback" not in answer.text
            assert ".py" not in answer.text
            if answer.status_code in (429, 503):
                assert int(answer.headers["Retry-After"]) > 0
        return answer  # type: ignore[no-any-return]

    def get(self, path: str, **said: Any) -> httpx.Response:
        return self.ask("GET", path, **said)

    def post(self, path: str, **said: Any) -> httpx.Response:
        return self.ask("POST", path, **said)

    def delete(self, path: str, **said: Any) -> httpx.Response:
        return self.ask("DELETE", path, **said)

    def order(self, brief: Any = None, path: str = "/v1/jobs", **headers: str) -> httpx.Response:
        """POST /v1/jobs; `Idempotency_Key="x"` becomes a header."""
        return self.post(path, json=brief or BRIEF, headers={k.replace("_", "-"): v for k, v in headers.items()})


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem."""
    return answer.status_code, answer.json()["code"]
