"""Batch calls: every operation on batches as a value: what is sent, and how the answer is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from interleaf.errors import InterleafError, ObjectUnknown
from interleaf.service.batch_records import BatchItemRecord, BatchLine, BatchRecord
from interleaf.service.call import Call, Settled, reads
from interleaf.service.calls import as_json, nothing, object_path, pairs
from interleaf.service.service_records import Page
from interleaf.service.steps import Sending, Steps

__all__ = [
    "cancel_batch",
    "create_batch",
    "delete_batch",
    "get_batch",
    "list_batch_items",
    "list_batches",
    "retry_batch",
    "stream_results",
]

PLACE: Final = "/v1/batches/"


def create_batch(fields: Mapping[str, Any], *, idempotency_key: str | None = None) -> Call[BatchRecord]:
    sending = Sending("POST", "/v1/batches", body=as_json("batch", dict(fields)))
    return Call(sending, reads(BatchRecord), "named", idempotency_key)


def list_batches(*, limit: int | None = None, after: str | None = None) -> Call[Page[BatchLine]]:
    return Call(Sending("GET", "/v1/batches", pairs(limit=limit, after=after)), reads(Page[BatchLine]))


def get_batch(batch_id: str) -> Call[BatchRecord]:
    return Call(Sending("GET", object_path(PLACE, batch_id)), reads(BatchRecord))


def delete_batch(batch_id: str) -> Call[None]:
    return Call(Sending("DELETE", object_path(PLACE, batch_id)), nothing, settle=_gone)


def list_batch_items(
    batch_id: str, *, limit: int | None = None, after: str | None = None, before: str | None = None
) -> Call[Page[BatchItemRecord]]:
    path = object_path(PLACE, batch_id) + "/items"
    return Call(Sending("GET", path, pairs(limit=limit, after=after, before=before)), reads(Page[BatchItemRecord]))


def stream_results(batch_id: str, *, ranked: bool = False) -> Sending:
    return Sending("GET", object_path(PLACE, batch_id) + "/results", (("ranked", "true"),) if ranked else ())


def cancel_batch(batch_id: str) -> Call[BatchRecord]:
    return Call(Sending("POST", object_path(PLACE, batch_id) + "/cancel"), reads(BatchRecord))


def retry_batch(batch_id: str) -> Call[BatchRecord]:
    return Call(Sending("POST", object_path(PLACE, batch_id) + "/retry"), reads(BatchRecord))


def _gone(error: InterleafError) -> Steps[Settled[None] | None]:
    """That it is not there is what was asked for."""
    yield from ()
    return Settled(None) if isinstance(error, ObjectUnknown) else None
