"""Meter: counts requests and their time; and the counters of one application, in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Meter", "Metrics"]

BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The counters of one application. Labels are ours (route templates, states), so their number is bounded."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "route"]
        self.requests = Counter(
            "interleaf_http_requests", "Answers by status", [*labels, "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "interleaf_http_first_byte_seconds",
            "Time until an answer begins",
            labels,
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.jobs = Gauge("interleaf_jobs", "Jobs by state", ["state"], registry=self.registry)
        self.oldest_s = Gauge(
            "interleaf_oldest_queued_job_seconds", "How long the job at the head has waited", registry=self.registry
        )
        self.workers = Gauge(
            "interleaf_workers", "Workers seen within the last half minute", ["role"], registry=self.registry
        )
        self.streams = Gauge("interleaf_open_streams", "Event streams and waiting requests", registry=self.registry)

    def text(self, jobs: Mapping[str, int], oldest_s: float, workers: Mapping[str, int], streams: int) -> bytes:
        """All of it, with what was counted just now: jobs by state, how long the oldest of those in the queue has
        waited, workers by role, and open streams."""
        for state, count in jobs.items():
            self.jobs.labels(state).set(count)
        self.oldest_s.set(oldest_s)
        for role, count in workers.items():
            self.workers.labels(role).set(count)
        self.streams.set(streams)
        return generate_latest(self.registry)


class Meter:
    """ASGI: counts answers by method, route template and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun_s = perf_counter()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in _METHODS else "other"
                route = getattr(scope.get("route", None), "path", "none")
                self._metrics.requests.labels(method, route, str(message["status"])).inc()
                self._metrics.seconds.labels(method, route).observe(perf_counter() - begun_s)
            await send(message)

        await self._app(scope, receive, told)
