"""Killing: every part of a service gets `kill -9` every few seconds, and Redis is emptied twice, while pieces are
ordered and worked on; every accepted job ends once, whole, with all its events.

    python -m tests.chaos.killing --jobs 200 --seconds 900 --database sqlite|postgres

With `--mixed` pieces are ordered by the clock and by the batch, too, by three beats; two people edit one piece; and a
receiver is told how all of it ends: nothing missed, nothing double, nothing lost.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from tests.chaos.audit import Audit
from tests.chaos.batching import Batching
from tests.chaos.customers import Customers
from tests.chaos.database import Kind
from tests.chaos.editing import Editing
from tests.chaos.fire import Fire
from tests.chaos.hand import Hand
from tests.chaos.listening import Listening
from tests.chaos.options import options
from tests.chaos.scheduling import Scheduling
from tests.chaos.service import ChaosService
from tests.chaos.verdict import Verdict

__all__ = ["killing"]

# How long the rest may take when nobody is killed any more.
CALM_S = 300.0


def killing(
    jobs: int = 200,
    seconds: float = 900.0,
    database: Kind = "sqlite",
    seed: int = 1,
    every_s: float = 4.0,
    *,
    mixed: bool = False,
) -> Verdict:
    """`every_s`: mean time between two kills. `seconds`: how long that goes on at most; then the rest must end.
    `mixed`: a quarter as many by the clock, half as many in a batch, and a quarter edits by each person."""
    verdict = Verdict(f"kill -9{' among all kinds of orders' if mixed else ''}, {database}, seed {seed}")
    beats = 3 if mixed else 1
    with ChaosService(database, beats=beats, edits=mixed, lease_s=4.0, outbound_private=mixed) as service:
        service.pace(0.3)
        customers = Customers(service, jobs)
        others: list[Hand] = []
        if mixed:
            quarter = max(4, jobs // 4)
            others = [Scheduling(service, quarter), Batching(service, 2 * quarter), Editing(service, quarter)]
        _burn(verdict, service, customers, others, Fire(service, seed=seed, every_s=every_s), seconds)
        if verdict.wrong:
            verdict.logs = service.last_words()
    return verdict


def _burn(
    verdict: Verdict,
    service: ChaosService,
    customers: Customers,
    others: list[Hand],
    fire: Fire,
    seconds: float,
) -> None:
    hands = [customers, *others]

    def settled() -> bool:
        return all(hand.settled for hand in hands) and service.ended_count() == service.job_count()

    with ExitStack() as stack:
        listening = stack.enter_context(Listening(service)) if others else None
        begun = time.monotonic()
        for hand in hands:
            hand.start()
        fire.burn(seconds, settled, lambda: service.ended_count() / sum(hand.wants for hand in hands))
        # Nobody is killed any more: whatever is left comes to its end, also on a machine that was slow till now.
        with suppress(AssertionError):
            service.wait_for(settled, "the end", CALM_S)
        for hand in hands:
            hand.join(60.0)
        verdict.tell("seconds, of which under fire", f"{time.monotonic() - begun:.0f}, {fire.seconds:.0f}")
        fire.tell(verdict)
        service.wait_for(service.answers, "the API answers")
        with service.client() as client:
            for hand in hands:
                hand.look(client)
            ordered = {job_id for hand in hands for job_id in hand.job_ids}
            # Edits by a writer, and the files of an edited piece, are jobs that nobody ordered as such.
            rest = [job.id for job in client.jobs.each() if job.id not in ordered | {*service.warmed}] if others else []
        audit = Audit(service, sorted({*ordered, *rest}))
        audit.run()
        audit.tell(verdict)
        strangers = [job_id for job_id in rest if audit.jobs[job_id].kind == "article"]
        verdict.none("pieces that nobody ordered", strangers)
        for hand in hands:
            hand.tell(verdict)
        if listening is not None:
            listening.tell(verdict, audit, {end for hand in hands for end in hand.ends}, timeout_s=120.0)
        verdict.none("ends that nothing explains", audit.unexplained(customers.canceled))
        verdict.none("errors that a client told its caller", [error for hand in hands for error in hand.errors])


def main(arguments: Sequence[str]) -> int:
    parser = options(__doc__, jobs=200, seconds=900.0)
    parser.add_argument("--mixed", action="store_true", help="with schedules, batches, edits and a webhook")
    said = parser.parse_args(arguments)
    verdict = killing(said.jobs, said.seconds, said.database, said.seed, mixed=said.mixed)
    print(verdict.table)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
