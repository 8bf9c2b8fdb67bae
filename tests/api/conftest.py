"""A door over a real SQLite database and a real folder of files, spoken to in-process or through uvicorn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.service import Service


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services with limits of their own: `make_service(max_body_bytes=1000)`."""
    made: list[Service] = []

    def make(**limits: object) -> Service:
        made.append(Service(tmp_path / f"home{len(made)}", limits))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A service as it is by default."""
    return make_service()
