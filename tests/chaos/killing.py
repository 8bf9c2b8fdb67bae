"""Killing: every part of a service gets `kill -9` every few seconds, and Redis is emptied twice, while jobs are ordered
and worked on; every accepted job ends once, whole, with all its events.

    python -m tests.chaos.killing --jobs 200 --seconds 900 --database sqlite|postgres
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from sqlalchemy import func, select

from interleaf.errors import InterleafError, JobFinal, ObjectUnknown, RequestStale
from interleaf.service.service_records import JobEvent
from tests.chaos.audit import Audit
from tests.chaos.database import Kind
from tests.chaos.options import options
from tests.chaos.orders import order
from tests.chaos.service import REDIS, ChaosService
from tests.chaos.verdict import Verdict
from workers.store.tables import JobRow

__all__ = ["killing"]

FLUSHES = 2
FOLLOWED = 4
# How long the rest may take when nobody is killed any more.
CALM_S = 300.0


class _Customers:
    """Those who order: one after another, over an API that is killed again and again. Some cancel, some are asked."""

    def __init__(self, service: ChaosService, jobs: int) -> None:
        self.accepted: list[str] = []
        self.followed: dict[str, list[JobEvent]] = {}
        self.canceled: list[str] = []
        self.errors: list[str] = []
        self._service, self._jobs = service, jobs
        self._threads = [threading.Thread(target=self._guarded, args=(self._order,), name="orders")]

    def start(self) -> None:
        self._threads[0].start()

    @property
    def done(self) -> bool:
        """Whether all orders were given."""
        return not self._threads[0].is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait for those who follow their jobs' events."""
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                self.errors.append(f"{thread.name} does not end")

    def _order(self) -> None:
        with self._service.client() as client:
            for number in range(self._jobs):
                asks = {"approvals": {"outline": True}} if number % 25 == 7 else {}
                job = client.jobs.create(order(f"Piece {number}", **asks), external_id=f"order-{number}")
                self.accepted.append(job.id)
                if number % max(1, self._jobs // FOLLOWED) == 0:
                    self._also(lambda job_id=job.id: self._follow(job_id), f"follows {job.id}")
                if asks:
                    self._also(lambda job_id=job.id: self._approve(job_id), f"approves {job.id}")
                if number % 20 == 13:
                    with suppress(JobFinal):  # it was quicker
                        client.jobs.cancel(job.id)
                        self.canceled.append(job.id)

    def _follow(self, job_id: str) -> None:
        with self._service.client() as client:
            self.followed[job_id] = list(client.jobs.get(job_id).events())

    def _approve(self, job_id: str) -> None:
        with self._service.client() as client:
            job = client.jobs.get(job_id).wait(until="asked")
            if not job.final:
                # The answer was taken, and the API was killed before it could say so.
                with suppress(ObjectUnknown, RequestStale):
                    job.respond("approve")

    def _also(self, what: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=self._guarded, args=(what,), name=name)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, what: Callable[[], None]) -> None:
        try:
            what()
        except InterleafError as error:
            self.errors.append(f"{threading.current_thread().name}: {type(error).__name__}: {error}")


def killing(
    jobs: int = 200, seconds: float = 900.0, database: Kind = "sqlite", seed: int = 1, every_s: float = 4.0
) -> Verdict:
    """`every_s`: mean time between two kills. `seconds`: how long that goes on at most; then the rest must end."""
    verdict = Verdict(f"kill -9, {database}, seed {seed}")
    chance, kills, flushed = random.Random(seed), Counter[str](), 0
    with ChaosService(database, lease_s=4.0) as service:
        service.pace(0.3)
        customers = _Customers(service, jobs)
        begun = time.monotonic()
        customers.start()
        while time.monotonic() < begun + seconds:
            time.sleep(chance.uniform(0.5, 1.5) * every_s)
            ended = _ended(service)
            if customers.done and ended >= len(customers.accepted) and sum(kills.values()) >= len(service.names):
                break
            # Each part gets its turn, in an order that changes. One in five is killed while it still starts; the others
            # are let come up first, or on a slow machine nothing would ever be done between two kills.
            up = [name for name in service.names if service.is_up(name) or chance.random() < 0.2]
            least = min((kills[name] for name in up), default=0)
            victims = [name for name in up if kills[name] == least]
            if victims:
                victim = chance.choice(victims)
                kills[victim] += service.kill(victim)
            share = max(ended / jobs, (time.monotonic() - begun) / seconds)
            if flushed < FLUSHES and share >= (flushed + 1) / (FLUSHES + 1):
                flushed += service.flush_redis()
        # Nobody is killed any more: whatever is left comes to its end, also on a machine that was slow till now.
        fire_s = time.monotonic() - begun
        with suppress(AssertionError):
            service.wait_for(lambda: customers.done and _ended(service) >= len(customers.accepted), "the end", CALM_S)
        customers.join(60.0)
        took_s = time.monotonic() - begun
        service.wait_for(service.answers, "the API answers")
        audit = Audit(service, customers.accepted)
        audit.run()
        verdict.tell("seconds, of which under fire", f"{took_s:.0f}, {fire_s:.0f}")
        verdict.tell("kills", ", ".join(f"{name} {kills[name]}" for name in service.names))
        verdict.equal("Redis emptied", flushed, FLUSHES)
        verdict.equal("orders accepted", len(customers.accepted), jobs)
        verdict.none("errors that a client told its caller", customers.errors)
        audit.tell(verdict)
        torn = [job_id for job_id, events in customers.followed.items() if events != audit.events.get(job_id)]
        verdict.tell("streams followed while the API was killed", len(customers.followed))
        verdict.none("of them not as they were told afterwards", torn)
        unlike = [
            f"{job.id} is {job.state}: {job.error.code if job.error else ''}"
            for job in audit.jobs.values()
            if job.state != "succeeded"
            and not (job.state == "canceled" and job.id in customers.canceled)
            and not (job.state == "failed" and job.error is not None and job.error.code == "worker_lost")
        ]
        verdict.none("ends that nothing explains", unlike)
        verdict.none("troubles of this program", [one for one in service.troubles if not one.startswith(REDIS)])
        if verdict.wrong:
            verdict.tell("logs", service.last_words())
    return verdict


def _ended(service: ChaosService) -> int:
    """How many jobs have ended, by the database: the API may not be there."""
    with service.store.database.reading() as session:
        return session.scalar(select(func.count()).where(JobRow.finished_at.is_not(None))) or 0


def main(arguments: Sequence[str]) -> int:
    said = options(__doc__, arguments, jobs=200, seconds=900.0)
    verdict = killing(said.jobs, said.seconds, said.database, said.seed)
    print(verdict.table)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
