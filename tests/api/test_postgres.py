"""The door over PostgreSQL, and over a database that is not there."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, text
from starlette.testclient import TestClient

from api.app import create_app
from tests.api.service import BRIEF, Client, Service, problem
from workers.settings import Settings
from workers.store.artifacts import ArtifactStore
from workers.store.database import Database


def test_orders_uploads_and_events_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    url = make_url(postgres_url).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE door TEMPLATE template0"))
    engine.dispose()
    service = Service(tmp_path, {}, url.set(database="door").render_as_string(hide_password=False))
    try:
        client = service.client()
        client.get("/v1/jobs")
        answers: list[Any] = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.order(Idempotency_Key="same"))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [answer.status_code for answer in answers] == [202] * 8
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert problem(client.order(BRIEF | {"seed": 1}, Idempotency_Key="same")) == (422, "idempotency_mismatch")
        sent = client.post("/v1/uploads", files={"file": ("a.md", b"text")}, headers={"Idempotency-Key": "u"}).json()
        job = client.post("/v1/jobs?metadata=a:b", json=BRIEF | {"sources": [sent["reference"]]}).json()
        assert [one["id"] for one in client.get("/v1/jobs?metadata=a:b").json()["data"]] == [job["id"]]
        service.finish(job["id"])
        names = [event["name"] for event in client.get(f"/v1/jobs/{job['id']}/events").json()["data"]]
        assert names == ["job.queued", "job.started", "job.succeeded"]
        assert problem(service.client(service.bob).get(f"/v1/jobs/{job['id']}")) == (404, "job_unknown")
        for hostile in ("\0", "\ud800", "'; DROP TABLE jobs; --", "a" * 5_000):
            said = client.get("/v1/jobs", params={"external_id": hostile.encode("utf-8", "replace")})
            assert said.status_code in (200, 422)
        assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    finally:
        service.close()


def test_a_database_that_is_not_there_is_503_everywhere(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql://nobody:hunter2@127.0.0.1:9/none")
    database = Database(settings.job_database_url)
    app = create_app(settings, database, ArtifactStore(settings.artifacts_url))
    with TestClient(app, raise_server_exceptions=False) as portal:
        client = Client(portal, "ilk_" + "a" * 43)
        said = {path: client.get(path) for path in ("/v1/jobs", "/metrics", "/readyz")} | {"order": client.order()}
        for path, answer in said.items():
            assert problem(answer) == (503, "not_ready" if path == "/readyz" else "service_away")
            assert "127.0.0.1" not in answer.text
            assert "hunter2" not in answer.text
        assert client.get("/healthz").status_code == 200
    database.close()
