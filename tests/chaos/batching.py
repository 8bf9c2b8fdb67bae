"""Batching: somebody who orders many pieces of one brief, and variants of another."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import func, select

from interleaf import Client
from tests.chaos.hand import Hand
from tests.chaos.orders import order
from tests.chaos.service import ChaosService
from tests.chaos.verdict import Verdict
from workers.store.job_transitions import FINAL
from workers.store.tables import BatchRow, JobRow

__all__ = ["Batching"]

VARIANTS = 3


class Batching(Hand):
    """A batch of `items`, of which one is refused, and a few variants. Its jobs are known after `look`."""

    def __init__(self, service: ChaosService, items: int) -> None:
        super().__init__(service, "batches", wants=items - 1 + VARIANTS)
        self.ids: list[str] = []
        """The batches."""
        self._items = items
        self._told: dict[str, list[str]] = {}
        self._lost: list[str] = []
        self._double: list[str] = []
        self._open: list[str] = []

    def work(self) -> None:
        with self.service.client() as client:
            items = {f"item-{number}": {"harbour": f"harbour {number}"} for number in range(self._items - 1)}
            made = client.batches.create(order("Tides for {{ harbour }}"), items | {"refused": {}}, name="harbours")
            self.ids.append(made.id)
            self.ids.append(client.batches.variants(order("Variants"), VARIANTS, first_seed=3).id)

    @property
    def settled(self) -> bool:
        with self.service.store.database.reading() as session:
            return self.done and not session.scalar(select(func.count(BatchRow.open_since)))

    def look(self, client: Client) -> None:
        self.ends = {("batch.ended", batch_id) for batch_id in self.ids}
        for batch_id in self.ids:
            record = client.batches.get(batch_id)
            results = list(client.batches.results(batch_id))
            if not record.ended:
                self._open.append(f"{batch_id}: {record.counts}")
            of_item = Counter(one.custom_id for one in results)
            states = Counter(one.state for one in results)
            if len(of_item) != record.item_count or states != Counter(record.counts):
                self._lost.append(f"{batch_id}: {dict(states)} in results, {record.counts} counted")
            for one in results:
                if of_item[one.custom_id] > 1:
                    self._double.append(f"{batch_id} {one.custom_id}")
                if one.state != "refused" and (one.job_id is None or one.state not in FINAL):
                    self._lost.append(f"{batch_id} {one.custom_id}: {one.state}")
                self.job_ids += [one.job_id] if one.job_id else []
            self._told[batch_id] = sorted(one.job_id for one in results if one.job_id)
            with self.service.store.database.reading() as session:
                wanted = select(JobRow.id).where(JobRow.meta["batch"].as_string() == batch_id)
                strangers = set(session.scalars(wanted)) - set(self._told[batch_id])
            self._double += [f"{job_id} is of no item" for job_id in strangers]

    def tell(self, verdict: Verdict) -> None:
        verdict.equal("jobs of batches", len(self.job_ids), self.wants)
        verdict.none("batches not ended", self._open)
        verdict.none("items lost", self._lost)
        verdict.none("items twice", self._double)
