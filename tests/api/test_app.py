"""App: what it loads, what it shows to operators, how it starts and stops."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.server import listening_socket
from interleaf.errors import RequestRefused
from tests.api.service import Service
from workers.store.tables import WorkerBeatRow

ROOT = Path(__file__).resolve().parents[2]


def test_the_door_loads_no_model_and_no_queue() -> None:
    program = "import sys, json, api.app, api.server; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    said = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}", "PATH": "/usr/bin:/bin"},
    )
    heavy = {"torch", "faiss", "numpy", "PIL", "transformers", "langgraph", "celery", "redis"}
    assert heavy & set(json.loads(said.stdout)) == set()


def test_metrics_count_by_route_and_state(service: Service) -> None:
    client = service.client()
    for _ in range(3):
        client.order()
    for name in ("a", "b", "c"):
        client.get(f"/v1/jobs/{name}")
    client.get("/v1/elsewhere")
    text = service.client(service.admin).get("/metrics").text
    assert 'interleaf_http_requests_total{method="POST",route="/v1/jobs",status="202"} 3.0' in text
    assert 'interleaf_http_requests_total{method="GET",route="/v1/jobs/{job_id}",status="404"} 3.0' in text
    assert 'interleaf_jobs{state="queued"} 3.0' in text
    assert 'interleaf_jobs{state="failed"} 0.0' in text
    waited = re.search(r"interleaf_oldest_queued_job_seconds ([0-9.e+-]+)", text)
    assert waited is not None
    assert float(waited[1]) > 0.0
    assert 'interleaf_workers{role="compose"} 0.0' in text
    assert "elsewhere" not in text  # paths of strangers make no new labels
    assert service.alice not in text


def test_ready_means_that_the_schema_fits(service: Service) -> None:
    client = service.client("")
    assert client.get("/readyz").json() == {"status": "ok", "away": []}
    with service.database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = 'another'")
    answer = client.get("/readyz")
    assert answer.status_code == 500
    assert "another" not in answer.text  # details are for the log
    assert client.get("/healthz").status_code == 200


def test_a_queue_that_is_away_is_told_and_stops_nobody(service: Service) -> None:
    app = create_app(service.settings, service.database, service.store, queue_answers=lambda: False)
    with TestClient(app) as client:
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "degraded", "away": ["queue"]})


def test_metrics_count_the_workers_that_are_there(service: Service) -> None:
    now = datetime.now(UTC)
    with service.database.transaction() as session:
        for worker, role, age_s in (("a-1-x", "compose", 5), ("a-2-x", "compose", 29), ("b-1-x", "compose", 31)):
            session.add(
                WorkerBeatRow(
                    worker_id=worker, kind=role, queue=role, started_at=now, seen_at=now - timedelta(seconds=age_s)
                )
            )
    text = service.client(service.admin).get("/metrics").text
    assert 'interleaf_workers{role="compose"} 2.0' in text
    assert 'interleaf_workers{role="beat"} 0.0' in text
    assert "interleaf_oldest_queued_job_seconds 0.0" in text


def test_a_server_answers_and_stops(service: Service) -> None:
    with service.served() as base:
        answer = httpx.get(f"{base}/v1/jobs", headers=service.headers())
        assert answer.status_code == 200
        assert "server" not in answer.headers
    with service.served() as base:  # once more in the same process
        assert httpx.get(f"{base}/healthz").json() == {"status": "ok"}


def test_an_address_that_is_taken_is_refused_and_answers_are_sent_at_once() -> None:
    with listening_socket("127.0.0.1", 0) as one:
        port = one.getsockname()[1]
        assert one.proto == socket.IPPROTO_TCP  # or asyncio leaves Nagle's waiting on
        with pytest.raises(RequestRefused, match=str(port)):
            listening_socket("127.0.0.1", port)
    for host, port in (("no such host", 0), ("127.0.0.1", 70_000)):
        with pytest.raises(RequestRefused):
            listening_socket(host, port)
