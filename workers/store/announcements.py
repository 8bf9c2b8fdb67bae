"""Announcements: events are written down for the addresses that want to hear them, in the transaction of what happened.

So what was committed is told, and what was undone is not. Who sends it is in deliveries.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session

from workers.store.ids import new_id
from workers.store.job import Job
from workers.store.tables import DeliveryRow, WebhookRow

__all__ = [
    "DEFAULT_EVENTS",
    "EVENTS",
    "MAX_BODY_BYTES",
    "PING",
    "WebhookEvent",
    "announce",
    "announce_job",
    "told_of_job",
    "write_deliveries",
]

WebhookEvent = Literal[
    "job.succeeded",
    "job.incomplete",
    "job.failed",
    "job.canceled",
    "job.expired",
    "job.awaiting_input",
    "batch.ended",
    "job.started",
    "job.requeued",
    "job.answered",
    "job.canceling",
    "document.published",
]
"""What a webhook may ask to be told of. That a job is queued knows whoever queued it."""

EVENTS: Final[tuple[WebhookEvent, ...]] = get_args(WebhookEvent)

DEFAULT_EVENTS: Final[tuple[WebhookEvent, ...]] = EVENTS[:7]
"""Of one that does not say: how jobs and batches end, and that jobs wait for somebody."""

PING: Final = "ping"
"""What a test sends; nobody needs to ask for it."""

MAX_BODY_BYTES: Final = 20_000

# Made once: this is looked up with every move of a job, and almost nobody has a webhook.
# Held until the end: a webhook that is deleted meanwhile would undo what happened together with its message.
_LISTENING: Final = (
    select(WebhookRow.id, WebhookRow.events)
    .where(WebhookRow.owner == bindparam("owner"), WebhookRow.disabled_at.is_(None))
    .with_for_update(read=True, key_share=True)
)
_WRITE: Final = insert(DeliveryRow.__table__)  # type: ignore[arg-type]


def announce(session: Session, owner: str, event: str, data: Mapping[str, Any], at: datetime) -> None:
    """Write `event`, which happened `at` that time, for every webhook of the owner that is on and wants it. `data` are
    ids, states and addresses, never contents."""
    wanting = [
        found.id for found in session.connection().execute(_LISTENING, {"owner": owner}) if event in found.events
    ]
    if wanting:
        write_deliveries(session, owner, wanting, event, data, at)


def announce_job(session: Session, job: Job, event: str, at: datetime) -> None:
    """The same for an event of a job, if it is one that anybody can ask for."""
    if event in EVENTS:
        announce(session, job.owner, event, told_of_job(job), at)


def told_of_job(job: Job) -> dict[str, Any]:
    """What is told of a job: nothing that GET of the job does not tell, too."""
    told: dict[str, Any] = {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "external_id": job.external_id,
        "url": f"/v1/jobs/{job.id}",
    }
    document_id = (job.result or {}).get("document_id")
    if document_id is not None:
        told["document_id"] = document_id
    if job.state == "awaiting_input" and job.answered_at is None:
        told |= {"request_id": job.request_id, "input_url": f"/v1/jobs/{job.id}/input"}
    return told


def write_deliveries(
    session: Session, owner: str, webhook_ids: list[str], event: str, data: Mapping[str, Any], at: datetime
) -> list[str]:
    """Write one message for each of these webhooks, to be sent now; the messages' ids."""
    said = {"type": event, "timestamp": at.isoformat(), "data": dict(data)}
    body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(body) <= MAX_BODY_BYTES, "a message names things, it does not hold them"
    ids = [new_id("msg", at) for _ in webhook_ids]
    rows = [
        {
            "id": message_id,
            "webhook_id": webhook_id,
            "owner": owner,
            "event": event,
            "body": body,
            "state": "pending",
            "attempt_count": 0,
            "next_at": at,
            "claimed_until": None,
            "created_at": at,
        }
        for message_id, webhook_id in zip(ids, webhook_ids, strict=True)
    ]
    session.connection().execute(_WRITE, rows)
    return ids
