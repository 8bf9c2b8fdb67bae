"""The service of tests/api, for its client."""

from __future__ import annotations

from tests.api.conftest import make_service, service

__all__ = ["make_service", "service"]
