"""Batch hands: a batch's owner and the service's rounds over one job store, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interleaf.errors import WorkerLost
from tests.workers.job_store import LEASE_S, Store
from tests.workers.store.schedule_hands import KEPT
from workers.store.batch import Batch, BatchItem
from workers.store.batch_ends import BatchEnds
from workers.store.batch_order import BatchOrder, OrderedItem
from workers.store.batch_rounds import BatchRounds
from workers.store.batches import Batches
from workers.store.leases import Ending

BRIEF: dict[str, Any] = {"instruction": "The tide at {{ harbour }}, number {{ number }}."}


class BatchHands:
    """`batches` is the owner's side, `rounds` the service's."""

    def __init__(self, store: Store, *, max_active: int = 1_000, max_queued: int = 100_000) -> None:
        self.store = store
        self.rounds = BatchRounds(
            store.database, store.jobs, max_active=max_active, max_queued=max_queued, clock=store.clock
        )
        self.batches = Batches(store.database, self.rounds, upload_kept=KEPT, clock=store.clock)
        self.ends = BatchEnds(store.database, upload_kept=KEPT, clock=store.clock)

    def make(self, order: BatchOrder) -> Batch:
        self.store.clock.move(1)
        return self.batches.create(self.store.owner, self.batches.check(self.store.owner, order))

    def create(self, count: int = 3, bad: tuple[int, ...] = (), **more: Any) -> Batch:
        """A batch of so many harbours; those of the numbers `bad` lack the value that their brief wants."""
        items = [
            OrderedItem(f"h{number}", {} if number in bad else {"harbour": f"Harbour {number}"})
            for number in range(1, count + 1)
        ]
        return self.make(BatchOrder(**{"kind": "sets", "brief": BRIEF, "items": items, **more}))

    def get(self, batch: Batch) -> Batch:
        return self.batches.get(batch.id, self.store.owner)

    def counts(self, batch: Batch) -> Mapping[str, int]:
        return self.get(batch).counts

    def items(self, batch: Batch) -> list[BatchItem]:
        return self.batches.items(batch.id, self.store.owner, 2_000)

    def drain(self) -> int:
        """Rounds until nothing moves any more; how many."""
        count = 0
        while self.rounds.step():
            count += 1
            assert count < 1_000
        return count

    def end(self, item: BatchItem, state: Ending = "succeeded", report: Mapping[str, Any] | None = None) -> None:
        assert item.job_id is not None
        claim = self.store.leases.claim(item.job_id, "worker-1", LEASE_S)
        assert claim is not None
        error = WorkerLost(item.job_id, "stopped.") if state == "failed" else None
        self.store.leases.finish(claim, state, result={"report": dict(report or {})}, error=error)
