"""Redis away: while it is gone, orders are still accepted; they run when it returns.

python -m tests.chaos.redis_away --jobs 20 --seconds 60 --database sqlite|postgres
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import httpx

from tests.chaos.audit import Audit
from tests.chaos.database import Kind
from tests.chaos.options import options
from tests.chaos.orders import order
from tests.chaos.service import REDIS, ChaosService
from tests.chaos.verdict import Verdict

__all__ = ["redis_away"]


def redis_away(jobs: int = 20, seconds: float = 60.0, database: Kind = "sqlite") -> Verdict:
    """`seconds`: how long it is away. Half of the jobs are ordered while it is."""
    verdict = Verdict(f"Redis away for {seconds:g} s, {database}")
    with ChaosService(database, lease_s=4.0) as service, service.requests() as http:
        service.warm()
        accepted: list[str] = []

        def submit(number: int) -> tuple[int, float]:
            begun = time.monotonic()
            answer = http.post("/v1/jobs", json=order(f"Piece {number}"))
            if answer.status_code == httpx.codes.ACCEPTED:
                accepted.append(answer.json()["id"])
            return answer.status_code, time.monotonic() - begun

        # Some are at work, some wait, and some come while it is away.
        service.pace(0.3)
        before = [submit(number) for number in range(jobs - jobs // 2)]
        service.keep_away(REDIS)
        gone, during = time.monotonic(), []
        for number in range(jobs - jobs // 2, jobs):
            during.append(submit(number))
            time.sleep(seconds / 2 / max(1, jobs // 2))
        ready = service.answers()
        time.sleep(max(0.0, gone + seconds - time.monotonic()))
        service.pace(0.0)
        service.let_back(REDIS)
        back = time.monotonic()
        with service.client() as client:
            for job_id in accepted:
                client.jobs.get(job_id).wait(240)
        took_s = time.monotonic() - back
        audit = Audit(service, accepted)
        audit.run()
        verdict.equal("answers before", sorted({status for status, _ in before}), [202])
        verdict.equal("answers while it was away", sorted({status for status, _ in during}), [202])
        verdict.tell("slowest of them, seconds", f"{max(time_s for _, time_s in during):.2f}")
        verdict.equal("the API counts as ready without it", ready, True)
        verdict.tell("seconds from its return to the last end", f"{took_s:.1f}")
        audit.tell(verdict)
        verdict.equal(
            "succeeded", sum(job.state == "succeeded" for job in audit.jobs.values()), jobs + len(service.warmed)
        )
        if verdict.wrong:
            verdict.logs = service.last_words()
    return verdict


def main(arguments: Sequence[str]) -> int:
    said = options(__doc__, jobs=20, seconds=60.0).parse_args(arguments)
    verdict = redis_away(said.jobs, said.seconds, said.database)
    print(verdict.table)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
