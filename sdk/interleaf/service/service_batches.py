"""Service batches: many pieces of one brief, made by a service; sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from interleaf.service import batch_calls, batch_steps
from interleaf.service.batch_records import BatchItemRecord, BatchLine, BatchRecord, BatchResult
from interleaf.service.batch_steps import GivenBatch, id_of
from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.job_steps import GivenBrief, all_pages
from interleaf.service.service_records import Page
from interleaf.service.wire import AsyncWire, Wire

__all__ = ["AsyncBatches", "Batches", "GivenItems"]

GivenItems = Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]
"""By custom id what the placeholders stand for, or a list of `{"custom_id": …, "variables": {…}}`."""


class Batches:
    """Many pieces of one brief. A job that a batch ordered has the batch's id in its metadata, as `batch`, and the
    item's custom id as `item`."""

    def __init__(self, wire: Wire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    def create(
        self,
        brief: GivenBrief,
        items: GivenItems,
        *,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        base: Path | None = None,
        idempotency_key: str | None = None,
    ) -> BatchRecord:
        """A piece for each item (up to 1,000): the brief with the item's variables in place of `{{ name }}`.

        `brief`: as of `jobs.create`; local files are sent. Placeholders are the names of the variables, `{{ number }}`
        of the item, `{{ date }}` and its like. An item whose brief is wrong is an item with an error; what is wrong
        with the batch itself is InvalidRequest. Jobs are ordered as there is room for them.
        """
        said = {"items": _items(items), "name": name, "metadata": metadata}
        return self._wire.run(batch_steps.create(self._calls, brief, base, said, idempotency_key))

    def variants(
        self,
        brief: GivenBrief,
        count: int,
        *,
        first_seed: int | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        base: Path | None = None,
        idempotency_key: str | None = None,
    ) -> BatchRecord:
        """The brief so many times (2 to 50), each with another seed, from `first_seed` (0 if not said) on;
        `results(…, ranked=True)` tells which came out best."""
        said = {"variants": count, "first_seed": first_seed, "name": name, "metadata": metadata}
        return self._wire.run(batch_steps.create(self._calls, brief, base, said, idempotency_key))

    def get(self, batch: GivenBatch) -> BatchRecord:
        """It as it is now. ObjectUnknown."""
        return self._wire.run(ask(batch_calls.get_batch(id_of(batch)), self._retrying))

    def list(self, *, limit: int | None = None, after: str | None = None) -> Page[BatchLine]:
        """One page, newest first."""
        return self._wire.run(ask(batch_calls.list_batches(limit=limit, after=after), self._retrying))

    def items(
        self,
        batch: GivenBatch,
        *,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
    ) -> Page[BatchItemRecord]:
        """One page of its items, in the order in which they were given."""
        call = batch_calls.list_batch_items(id_of(batch), limit=limit, after=after, before=before)
        return self._wire.run(ask(call, self._retrying))

    def each_item(self, batch: GivenBatch) -> Iterator[BatchItemRecord]:
        """All of them, page after page."""

        def page(after: str | None) -> Any:
            return batch_calls.list_batch_items(id_of(batch), after=after)

        yield from self._wire.each(all_pages(self._calls, page))

    def results(self, batch: GivenBatch, *, ranked: bool = False) -> Iterator[BatchResult]:
        """What became of every item, as it is now, one after another; `ranked`: the best pieces first. A connection
        that breaks off is taken up again."""
        yield from self._wire.each(batch_steps.results(self._calls, id_of(batch), ranked))

    def wait(self, batch: GivenBatch, timeout_s: float | None = None) -> BatchRecord:
        """It when every item has ended. JobActive when that takes longer than `timeout_s`; it goes on."""
        return self._wire.run(batch_steps.wait(self._calls, id_of(batch), timeout_s))

    def cancel(self, batch: GivenBatch) -> BatchRecord:
        """Order nothing more, and stop the jobs that have not ended."""
        return self._wire.run(ask(batch_calls.cancel_batch(id_of(batch)), self._retrying))

    def retry(self, batch: GivenBatch) -> BatchRecord:
        """Go on with the items that failed, expired or were canceled. JobActive while it is still being canceled."""
        return self._wire.run(ask(batch_calls.retry_batch(id_of(batch)), self._retrying))

    def delete(self, batch: GivenBatch) -> None:
        """Its record; its jobs and documents stay, and what it has not ordered yet is not ordered any more."""
        self._wire.run(ask(batch_calls.delete_batch(id_of(batch)), self._retrying))


class AsyncBatches:
    """Many pieces of one brief. A job that a batch ordered has the batch's id in its metadata, as `batch`, and the
    item's custom id as `item`."""

    def __init__(self, wire: AsyncWire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    async def create(
        self,
        brief: GivenBrief,
        items: GivenItems,
        *,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        base: Path | None = None,
        idempotency_key: str | None = None,
    ) -> BatchRecord:
        """A piece for each item (up to 1,000): the brief with the item's variables in place of `{{ name }}`.

        `brief`: as of `jobs.create`; local files are sent. Placeholders are the names of the variables, `{{ number }}`
        of the item, `{{ date }}` and its like. An item whose brief is wrong is an item with an error; what is wrong
        with the batch itself is InvalidRequest. Jobs are ordered as there is room for them.
        """
        said = {"items": _items(items), "name": name, "metadata": metadata}
        return await self._wire.run(batch_steps.create(self._calls, brief, base, said, idempotency_key))

    async def variants(
        self,
        brief: GivenBrief,
        count: int,
        *,
        first_seed: int | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        base: Path | None = None,
        idempotency_key: str | None = None,
    ) -> BatchRecord:
        """The brief so many times (2 to 50), each with another seed, from `first_seed` (0 if not said) on;
        `results(…, ranked=True)` tells which came out best."""
        said = {"variants": count, "first_seed": first_seed, "name": name, "metadata": metadata}
        return await self._wire.run(batch_steps.create(self._calls, brief, base, said, idempotency_key))

    async def get(self, batch: GivenBatch) -> BatchRecord:
        """It as it is now. ObjectUnknown."""
        return await self._wire.run(ask(batch_calls.get_batch(id_of(batch)), self._retrying))

    async def list(self, *, limit: int | None = None, after: str | None = None) -> Page[BatchLine]:
        """One page, newest first."""
        return await self._wire.run(ask(batch_calls.list_batches(limit=limit, after=after), self._retrying))

    async def items(
        self,
        batch: GivenBatch,
        *,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
    ) -> Page[BatchItemRecord]:
        """One page of its items, in the order in which they were given."""
        call = batch_calls.list_batch_items(id_of(batch), limit=limit, after=after, before=before)
        return await self._wire.run(ask(call, self._retrying))

    async def each_item(self, batch: GivenBatch) -> AsyncIterator[BatchItemRecord]:
        """All of them, page after page."""

        def page(after: str | None) -> Any:
            return batch_calls.list_batch_items(id_of(batch), after=after)

        async for record in self._wire.each(all_pages(self._calls, page)):
            yield record

    async def results(self, batch: GivenBatch, *, ranked: bool = False) -> AsyncIterator[BatchResult]:
        """What became of every item, as it is now, one after another; `ranked`: the best pieces first. A connection
        that breaks off is taken up again."""
        async for record in self._wire.each(batch_steps.results(self._calls, id_of(batch), ranked)):
            yield record

    async def wait(self, batch: GivenBatch, timeout_s: float | None = None) -> BatchRecord:
        """It when every item has ended. JobActive when that takes longer than `timeout_s`; it goes on."""
        return await self._wire.run(batch_steps.wait(self._calls, id_of(batch), timeout_s))

    async def cancel(self, batch: GivenBatch) -> BatchRecord:
        """Order nothing more, and stop the jobs that have not ended."""
        return await self._wire.run(ask(batch_calls.cancel_batch(id_of(batch)), self._retrying))

    async def retry(self, batch: GivenBatch) -> BatchRecord:
        """Go on with the items that failed, expired or were canceled. JobActive while it is still being canceled."""
        return await self._wire.run(ask(batch_calls.retry_batch(id_of(batch)), self._retrying))

    async def delete(self, batch: GivenBatch) -> None:
        """Its record; its jobs and documents stay, and what it has not ordered yet is not ordered any more."""
        await self._wire.run(ask(batch_calls.delete_batch(id_of(batch)), self._retrying))


def _items(given: GivenItems) -> list[dict[str, Any]]:
    if isinstance(given, Mapping):
        return [{"custom_id": custom_id, "variables": dict(variables)} for custom_id, variables in given.items()]
    return [dict(item) for item in given]
