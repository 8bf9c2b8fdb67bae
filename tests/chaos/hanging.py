"""Hanging: a compose worker is frozen (SIGSTOP) in the middle of a job and loses its lease; another one ends the job.
Thawed (SIGCONT), while that one works or after it ended, it writes nothing any more, and goes on with other jobs.

    python -m tests.chaos.hanging --jobs 10 --database sqlite|postgres
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from interleaf import Client
from tests.chaos.audit import Audit
from tests.chaos.database import Kind
from tests.chaos.options import options
from tests.chaos.orders import order
from tests.chaos.service import ChaosService
from tests.chaos.verdict import Verdict

__all__ = ["hanging"]

SECTION_S = 1.0
# A worker that was thawed sees within so many seconds that its job is another's.
SEEN_S = 30.0


@dataclass(frozen=True)
class _Frozen:
    """What became of one job whose worker was frozen."""

    job_id: str
    state: str
    given_up_s: float
    """From the freezing until another worker had the job."""
    late: tuple[str, ...]
    """What was written by a worker that had lost it."""
    seen: bool
    """Whether that worker said that the job is another's."""


def hanging(jobs: int = 10, database: Kind = "sqlite", seed: int = 1) -> Verdict:
    """`jobs`: how many workers are frozen, one after another."""
    verdict = Verdict(f"SIGSTOP, {database}, seed {seed}")
    chance = random.Random(seed)
    with ChaosService(database, lease_s=2.0) as service:
        service.warm()
        with service.client() as client:
            found = [_freeze(service, client, f"Frozen {n}", chance, ended_first=bool(n % 2)) for n in range(jobs)]
        # Every worker is the process that it was, and works.
        service.warm()
        starts = service.starts()
        audit = Audit(service, [one.job_id for one in found])
        audit.run()
        given_up = [one.given_up_s for one in found]
        verdict.tell("workers frozen", jobs)
        verdict.tell("seconds until another worker had the job", f"{min(given_up):.1f} to {max(given_up):.1f}")
        verdict.none("late writes that were taken", [late for one in found for late in one.late])
        verdict.none("thawed workers that did not see it", [one.job_id for one in found if not one.seen])
        verdict.none("jobs that did not succeed", [one.job_id for one in found if one.state != "succeeded"])
        verdict.equal("starts of each compose worker", [starts[name] for name in service.composers], [1, 1])
        audit.tell(verdict)
        if verdict.wrong:
            verdict.logs = service.last_words()
    return verdict


def _freeze(service: ChaosService, client: Client, title: str, chance: random.Random, *, ended_first: bool) -> _Frozen:
    """One job whose worker is frozen; it is thawed when the other one has ended the job, or while that one works."""
    service.pace(SECTION_S)
    job = client.jobs.create(order(title))
    service.wait_for(lambda: bool(service.begun(title)), "a section is begun")
    time.sleep(chance.uniform(0.0, SECTION_S))
    frozen = service.composer_of(service.begun(title)[0][0])
    service.freeze(frozen)
    given_up_s = service.wait_for(lambda: job.refresh().record.attempt >= 2, "another worker has it")
    if not ended_first:
        time.sleep(chance.uniform(0.0, SECTION_S))
        service.thaw(frozen)
    service.pace(0.0)
    ended = job.wait(120).record
    if ended_first:
        service.thaw(frozen)
    said = re.compile(rf"{job.id}: (attempt \d+ of \S+ no longer holds it|another worker has it)")
    seen = True
    try:
        # It writes no more after it has said this.
        service.wait_for(lambda: said.search(service.log(frozen)) is not None, "it sees that", SEEN_S)
    except AssertionError:
        seen = False
    late = [] if job.refresh().record == ended else [f"{job.id} changed after its end"]
    attempts = [event.data["attempt"] for event in job.events()]
    if attempts != sorted(attempts):
        late.append(f"{job.id} has events of attempts {attempts}")
    return _Frozen(job.id, ended.state, given_up_s, tuple(late), seen)


def main(arguments: Sequence[str]) -> int:
    said = options(__doc__, jobs=10, seconds=600.0).parse_args(arguments)
    verdict = hanging(said.jobs, said.database, said.seed)
    print(verdict.table)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
