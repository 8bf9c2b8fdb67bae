"""Customers: those who order pieces, one after another, over an API that is killed again and again."""

from __future__ import annotations

from contextlib import suppress

from interleaf import Client
from interleaf.errors import JobFinal, ObjectUnknown, RequestStale
from interleaf.service.service_records import JobEvent
from tests.chaos.hand import Hand
from tests.chaos.orders import order
from tests.chaos.service import ChaosService
from tests.chaos.verdict import Verdict

__all__ = ["Customers"]

FOLLOWED = 4


class Customers(Hand):
    """Some cancel, some are asked, some follow what happens."""

    def __init__(self, service: ChaosService, jobs: int) -> None:
        super().__init__(service, "orders", wants=jobs)
        self.canceled: list[str] = []
        self._followed: dict[str, list[JobEvent]] = {}
        self._torn: list[str] = []

    def work(self) -> None:
        with self.service.client() as client:
            for number in range(self.wants):
                asks = {"approvals": {"outline": True}} if number % 25 == 7 else {}
                job = client.jobs.create(order(f"Piece {number}", **asks), external_id=f"order-{number}")
                self.job_ids.append(job.id)
                if number % max(1, self.wants // FOLLOWED) == 0:
                    self.also(lambda job_id=job.id: self._follow(job_id), f"follows {job.id}")
                if asks:
                    self.also(lambda job_id=job.id: self._approve(job_id), f"approves {job.id}")
                if number % 20 == 13:
                    with suppress(JobFinal):  # it was quicker
                        client.jobs.cancel(job.id)
                        self.canceled.append(job.id)

    def look(self, client: Client) -> None:
        for job_id, events in self._followed.items():
            if events != list(client.jobs.get(job_id).events()):
                self._torn.append(job_id)

    def tell(self, verdict: Verdict) -> None:
        verdict.equal("orders accepted", len(self.job_ids), self.wants)
        verdict.tell("streams followed while the API was killed", len(self._followed))
        verdict.none("of them not as they were told afterwards", self._torn)

    def _follow(self, job_id: str) -> None:
        with self.service.client() as client:
            self._followed[job_id] = list(client.jobs.get(job_id).events())

    def _approve(self, job_id: str) -> None:
        with self.service.client() as client:
            job = client.jobs.get(job_id).wait(until="asked")
            if not job.final:
                # The answer was taken, and the API was killed before it could say so.
                with suppress(ObjectUnknown, RequestStale):
                    job.respond("approve")
