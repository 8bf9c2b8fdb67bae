"""Metrics: what to watch."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.door import MetricsReader, TheDoor
from workers.service.part_command import WORKERS
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
    """Requests of this process; jobs of all by state, how long the one at the head of the queue has waited (0: none
    waits), and the workers that are there."""

    def read() -> bytes:
        since = door.jobs.waiting_since()
        waited_s = 0.0 if since is None else max(0.0, (door.clock() - since).total_seconds())
        seen = door.beats.counts()
        return door.metrics.text(
            {state: door.jobs.count([state]) for state in STATES},
            waited_s,
            {role: seen.get(role, 0) for role in WORKERS},
            door.streams.count,
        )

    return Response(await door.threads.run(read), media_type=CONTENT_TYPE_LATEST)
