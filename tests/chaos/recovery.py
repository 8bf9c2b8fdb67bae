"""Recovery (C14): how long until the job of a killed worker goes on, against stock Celery at the same visibility
time-out; and whether any job ends twice while workers are killed in the middle of their work.

    python -m tests.chaos.recovery --jobs 100 --seconds 130 --database sqlite|postgres

`--jobs`: workers killed; `--seconds`: how long stock Celery is waited for.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from interleaf import Client
from interleaf.service.service_job import Job
from tests.chaos.audit import Audit
from tests.chaos.database import Kind
from tests.chaos.options import options
from tests.chaos.orders import SECTIONS, order
from tests.chaos.service import ChaosService
from tests.chaos.stock_celery import StockCelery
from tests.chaos.verdict import Verdict

__all__ = ["recovery"]

VISIBILITY_S = 5.0
SECTION_S = 0.6
# C14: at most so much more than the visibility time-out.
MORE_S = 15.0
# C14: what is drafted again is the section that was under way.
REDONE = 1


def recovery(
    jobs: int = 100, seconds: float = 130.0, database: Kind = "sqlite", seed: int = 1, rounds: int = 5
) -> Verdict:
    """`rounds`: how many of the kills are timed one by one."""
    verdict = Verdict(
        f"recovery of lost workers, {database}, seed {seed}, visibility time-out and lease {VISIBILITY_S:g} s"
    )
    chance = random.Random(seed)
    with (
        ThreadPoolExecutor(1, "stock") as beside,  # the baseline has a broker of its own, and mostly waits as well
        ChaosService(database, lease_s=VISIBILITY_S, visibility_timeout_s=VISIBILITY_S) as service,
    ):
        compared = beside.submit(_stock, seconds)
        service.warm()
        service.pace(SECTION_S)
        with service.client() as client:
            timed = [
                _timed(service, client.jobs.create(order(f"Timed {n}")), f"Timed {n}", chance) for n in range(rounds)
            ]
            accepted = [job_id for job_id, _, _ in timed]
            kills = rounds + _killing(service, client, jobs - rounds, accepted, chance)
            for job_id in accepted:
                client.jobs.get(job_id).wait(300)
        audit = Audit(service, accepted)
        audit.run()
    ours = statistics.median(took_s for _, took_s, _ in timed)
    stock_s = compared.result()
    shown = f"{stock_s:.1f}" if stock_s is not None else f"more than {seconds:g}"
    verdict.equal("workers killed in the middle of a section", kills, jobs)
    verdict.hold(
        "recovery, seconds (median; all)",
        f"{ours:.1f} ({', '.join(f'{took_s:.1f}' for _, took_s, _ in timed)})",
        max(took_s for _, took_s, _ in timed) <= VISIBILITY_S + MORE_S,
        f"at most {VISIBILITY_S + MORE_S:g}",
    )
    verdict.tell("stock Celery, seconds", shown)
    verdict.tell("ratio", f"{'' if stock_s is not None else 'under '}{ours / (stock_s or seconds):.2f}")
    redone = [len(begun) - SECTIONS for _, _, begun in timed]
    verdict.hold("sections drafted again", redone, max(redone) <= REDONE, f"at most {REDONE} each")
    audit.tell(verdict)
    return verdict


def _timed(
    service: ChaosService, job: Job, title: str, chance: random.Random
) -> tuple[str, float, list[tuple[int, int]]]:
    """Kill who works on it; seconds until another worker begins a section of it, and all that were begun."""
    service.wait_for(lambda: bool(service.begun(title)), "a section is begun")
    time.sleep(chance.uniform(0.0, SECTION_S / 2))
    first = service.begun(title)[0][0]
    victim = service.composer_of(first)
    service.keep_away(victim)
    took_s = service.wait_for(lambda: any(pid != first for pid, _ in service.begun(title)), "another one goes on")
    service.let_back(victim)
    job.wait(120)
    # The other worker is to be there for the next round, and warm.
    service.warm()
    service.pace(SECTION_S)
    return job.id, took_s, service.begun(title)


def _killing(service: ChaosService, client: Client, kills: int, accepted: list[str], chance: random.Random) -> int:
    """Kill whoever has just begun a section, so often, while there is always something to do; how many were killed."""
    waiting: list[Job] = []
    killed = 0
    while killed < kills:
        waiting = [job for job in waiting if not job.refresh().final]
        while len(waiting) < 2 * len(service.composers):
            waiting.append(client.jobs.create(order(f"Killed {len(accepted)}")))
            accepted.append(waiting[-1].id)
        if not _begins(service, waiting):
            continue
        time.sleep(chance.uniform(0.0, SECTION_S / 2))
        working = {service.pid(name): name for name in service.composers}
        victim = working.get(service.begun_by()[-1])
        killed += victim is not None and service.kill(victim)
    service.pace(0.0)
    return killed


def _begins(service: ChaosService, waiting: list[Job]) -> bool:
    """Wait until a further section is begun; False when there is nothing left to begin: all of these have ended, some
    of them for having been killed too often."""
    before = len(service.begun_by())

    def there_is() -> bool:
        return len(service.begun_by()) > before

    service.wait_for(lambda: there_is() or all(job.refresh().final for job in waiting), "somebody works")
    return there_is()


def _stock(patience_s: float) -> float | None:
    """Seconds until stock Celery begins a killed worker's job again; None when that takes longer than we wait."""
    with StockCelery(VISIBILITY_S) as stock:
        stock.send("lost", 2 * patience_s + 60)
        assert stock.wait_for_began("lost", 1, 60.0) is not None, "stock Celery does not begin a job"
        stock.kill(stock.began("lost")[0])
        return stock.wait_for_began("lost", 2, patience_s)


def main(arguments: Sequence[str]) -> int:
    said = options(__doc__, jobs=100, seconds=130.0).parse_args(arguments)
    verdict = recovery(said.jobs, said.seconds, said.database, said.seed)
    print(verdict.table)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
