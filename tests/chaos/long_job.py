"""Long job (C15): a job that takes ten times the visibility time-out is begun once, by one worker, although another one
comes up meanwhile, as when a service grows; stock Celery hands it to that one, too.

    python -m tests.chaos.long_job --jobs 2 --database sqlite|postgres
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.audit import Audit
from tests.chaos.database import Kind
from tests.chaos.options import options
from tests.chaos.orders import SECTIONS, order
from tests.chaos.service import ChaosService
from tests.chaos.stock_celery import StockCelery
from tests.chaos.verdict import Verdict

__all__ = ["long_job"]

TIMES = 10


def long_job(jobs: int = 2, database: Kind = "sqlite", visibility_s: float = 2.0) -> Verdict:
    """`jobs`: long ones, one after another; of two workers one has nothing to do, and is started again meanwhile."""
    verdict = Verdict(f"jobs of {TIMES} x the visibility time-out of {visibility_s:g} s, {database}")
    # A lease shorter than the job and longer than the time-out: it is the messages that are to come twice.
    with (
        ThreadPoolExecutor(1, "stock") as beside,  # the baseline has a broker of its own, and mostly waits as well
        ChaosService(database, lease_s=4.0, visibility_timeout_s=visibility_s) as service,
    ):
        compared = beside.submit(_stock, visibility_s, TIMES * visibility_s)
        service.warm()
        accepted: list[str] = []
        # Sections are drafted side by side; even so the piece takes as long as one of them.
        service.pace(TIMES * visibility_s)
        took, runs = [], []
        with service.client() as client:
            for number in range(jobs):
                title = f"Long {number}"
                begun = time.monotonic()
                job = client.jobs.create(order(title))
                service.wait_for(lambda title=title: bool(service.begun(title)), "it is begun")  # type: ignore[misc]
                time.sleep(2 * visibility_s)
                at_work = service.composer_of(service.begun(title)[0][0])
                for name in service.composers:
                    if name != at_work:
                        service.kill(name)
                job.wait(TIMES * visibility_s * SECTIONS + 120)
                took.append(time.monotonic() - begun)
                accepted.append(job.id)
                names = [event.name for event in job.events()]
                runs.append(names.count("job.started"))
                if len(service.begun(title)) != SECTIONS:
                    verdict.hold(title, service.begun(title), False, f"{SECTIONS} sections, each begun once")
        audit = Audit(service, accepted)
        audit.run()
        messages = sum(service.log(name).count("Task interleaf.compose[") for name in service.composers)
    verdict.hold("seconds of each", [round(one, 1) for one in took], min(took) >= TIMES * visibility_s, "that long")
    verdict.tell("lines of workers on messages", messages)
    verdict.equal("runs of each", runs, [1] * jobs)
    stock = compared.result()
    verdict.tell("runs of the same in stock Celery", stock)
    verdict.tell("ratio of runs", f"{sum(runs) / jobs / stock:.2f}")
    audit.tell(verdict)
    return verdict


def _stock(visibility_s: float, seconds: float) -> int:
    """How often stock Celery begins a job of so many seconds before it has ended once."""
    with StockCelery(visibility_s, workers=1) as stock:
        stock.send("long", seconds)
        assert stock.wait_for_began("long", 1, 60.0) is not None, "stock Celery does not begin the job"
        time.sleep(2 * visibility_s)
        stock.join()
        until = time.monotonic() + seconds + 60
        while not stock.ended("long") and time.monotonic() < until:
            time.sleep(0.05)
        assert stock.ended("long"), "stock Celery does not end the job"
        return len(stock.began("long"))


def main(arguments: Sequence[str]) -> int:
    said = options(__doc__, jobs=2, seconds=600.0).parse_args(arguments)
    verdict = long_job(said.jobs, said.database)
    print(verdict.table)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
