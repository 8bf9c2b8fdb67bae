"""A whole service for the examples: API on a socket, Redis, all kinds of workers, and beat, as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.service import Service
from tests.workers.job_service import JobService


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Its address and key are in the environment, as the examples want them."""
    workers = JobService(tmp_path / "home", lease_s=10.0)
    door: Service | None = None
    try:
        workers.start("compose", "render", "library", "beat")
        door = Service(tmp_path / "home", {})
        door.deliver = workers.dispatcher.deliver  # type: ignore[method-assign]
        with door.served() as url:
            monkeypatch.setenv("INTERLEAF_SERVER", url)
            monkeypatch.setenv("INTERLEAF_API_KEY", door.alice)
            yield door
    finally:
        if door is not None:
            door.close()
        workers.stop()
