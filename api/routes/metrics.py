"""Metrics: what to watch."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.door import MetricsReader, TheDoor
from workers.store.job_transitions import STATES

__all__ = ["router"]

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    operation_id="getMetrics",
    summary="What to watch",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text"}},
)
async def get_metrics(door: TheDoor, key: MetricsReader) -> Response:
    """Requests of this process, and jobs of all by state."""

    def read() -> bytes:
        return door.metrics.text({state: door.jobs.count([state]) for state in STATES}, door.streams.count)

    return Response(await door.threads.run(read), media_type=CONTENT_TYPE_LATEST)
