"""The example of webhooks over a service of real processes; and what its receiver refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from time import time

import pytest

from examples.service.receive_webhooks import Inbox, main
from interleaf.webhooks import sign
from tests.api.service import Service
from tests.workers.job_service import JobService
from workers.outbound.outbound import Outbound

TIDES = Path(__file__).parents[2] / "examples" / "tides" / "brief.yaml"
SECRET = "whsec_" + "A" * 32
BODY = b'{"type":"job.failed","timestamp":"2026-01-01T12:00:00+00:00","data":{"id":"job_1"}}'


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service that may speak to this machine."""
    workers = JobService(tmp_path / "home", lease_s=10.0, outbound_private=True)
    door: Service | None = None
    try:
        workers.start("compose", "render", "beat")
        door = Service(tmp_path / "home", {})
        door.outbound = Outbound(private=True)
        door.deliver = workers.dispatcher.deliver  # type: ignore[method-assign]
        with door.served() as url:
            monkeypatch.setenv("INTERLEAF_SERVER", url)
            monkeypatch.setenv("INTERLEAF_API_KEY", door.alice)
            yield door
    finally:
        if door is not None:
            door.close()
        workers.stop()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_piece_is_ordered_and_its_end_is_told(
    private: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = main(TIDES, tmp_path / "out")
    assert "<figure" in page.read_text(encoding="utf-8")
    told = capsys.readouterr().out
    assert "job.succeeded: job_" in told
    assert "is succeeded" in told
    assert private.client().get("/v1/webhooks").json()["data"] == []


def test_the_receiver_takes_what_is_signed_once_and_nothing_else() -> None:
    with Inbox() as inbox:
        threading.Thread(target=inbox.serve_forever, daemon=True).start()
        inbox.secrets.append(SECRET)

        def post(body: bytes, secret: str = SECRET) -> int:
            now = int(time())
            connection = HTTPConnection("127.0.0.1", inbox.server_port, timeout=20)
            headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now)}
            headers["webhook-signature"] = sign(secret, "msg_1", now, BODY)
            connection.request("POST", "/", body, headers)
            status = connection.getresponse().status
            connection.close()
            return status

        assert post(BODY.replace(b"failed", b"cancel")) == 400
        assert post(BODY, "whsec_" + "B" * 32) == 400
        assert inbox.messages.empty()
        assert post(BODY) == 204
        assert post(BODY) == 204
        assert inbox.messages.get_nowait().data["id"] == "job_1"
        assert inbox.messages.empty()
        inbox.shutdown()
