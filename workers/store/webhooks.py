"""Webhooks: what the owner of a webhook does with it: create, look, change, switch off and on, rotate its secret."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from interleaf.errors import InvalidRequest, ObjectUnknown, QuotaReached, shown
from interleaf.webhooks import SECRET_PREFIX
from workers.store.announcements import EVENTS, PING, write_deliveries
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import is_id, made_at, new_id
from workers.store.tables import DeliveryRow, WebhookRow
from workers.store.webhook import Delivery, Webhook, WebhookSecret

__all__ = ["BY_OWNER", "MAX_DESCRIPTION_CHARS", "MAX_SECRETS", "MAX_WEBHOOKS", "Webhooks", "switch_off"]

MAX_WEBHOOKS: Final = 20
"""Of one key: each is looked at with every event."""
MAX_SECRETS: Final = 5
"""Of one webhook at a time."""
MAX_URL_CHARS: Final = 2_000
MAX_DESCRIPTION_CHARS: Final = 400
BY_OWNER: Final = "switched off by its owner"
_SECRET_BYTES: Final = 32


class Webhooks:
    """The webhooks of all owners. Another owner's is ObjectUnknown. Every method may raise ServiceAway.

    That a request may go to an address is for the caller to check, with workers/outbound, before it is handed in; it
    is checked anew with each attempt.
    """

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def create(self, owner: str, url: str, events: Sequence[str], description: str = "") -> tuple[Webhook, str]:
        """A new webhook, which is on, and its secret, which is told this once. InvalidRequest names a wrong field;
        QuotaReached when the key has too many."""
        webhook_id = new_id("whk", self._clock())
        now = made_at(webhook_id)  # to the millisecond, so that ids and creation times have one order
        secret, kept = _new_secret(now)
        values = _checked({"url": url, "events": events, "description": description})
        with self._database.transaction() as session:
            _lock_owner(session, owner)
            count = session.scalar(select(func.count()).select_from(WebhookRow).where(WebhookRow.owner == owner)) or 0
            if count >= MAX_WEBHOOKS:
                raise QuotaReached("webhooks", f"this key has {count} of {MAX_WEBHOOKS}.", "Delete some.")
            row = WebhookRow(
                id=webhook_id,
                owner=owner,
                **values,
                secrets=[kept],
                created_at=now,
                disabled_at=None,
                disabled_why="",
            )
            session.add(row)
            session.flush()
            return Webhook.of_row(row), secret

    def get(self, webhook_id: str, owner: str) -> Webhook:
        """ObjectUnknown."""
        with self._database.reading() as session:
            return Webhook.of_row(_found(session, webhook_id, owner))

    def list(self, owner: str, limit: int, after: str | None = None, before: str | None = None) -> list[Webhook]:
        """At most `limit` webhooks, newest first; older than `after`, or, oldest first, newer than `before`."""
        wanted = select(WebhookRow).where(WebhookRow.owner == owner)
        if after is not None:
            wanted = wanted.where(WebhookRow.id < after)
        if before is not None:
            wanted = wanted.where(WebhookRow.id > before)
        order = WebhookRow.id.desc() if before is None else WebhookRow.id.asc()
        with self._database.reading() as session:
            return [Webhook.of_row(row) for row in session.scalars(wanted.order_by(order).limit(limit))]

    def change(self, webhook_id: str, owner: str, changes: Mapping[str, Any]) -> Webhook:
        """Replace some of `url`, `events`, `description`, `enabled`. What waits to be sent goes to the new address.

        Switched off, nothing is written down for it any more, and what waits counts as failed. ObjectUnknown;
        InvalidRequest names a wrong field."""
        enabled = changes.get("enabled")
        values = _checked({name: value for name, value in changes.items() if name != "enabled"})
        with self._database.transaction() as session:
            row = _found(session, webhook_id, owner, lock=True)
            for name, value in values.items():
                setattr(row, name, value)
            session.flush()
            if enabled is True:
                row.disabled_at, row.disabled_why = None, ""
            elif enabled is False and row.disabled_at is None:
                switch_off(session, webhook_id, BY_OWNER, self._clock())
                session.refresh(row)
            session.flush()
            return Webhook.of_row(row)

    def delete(self, webhook_id: str, owner: str) -> None:
        """With its messages and what became of them. ObjectUnknown."""
        with self._database.transaction() as session:
            _found(session, webhook_id, owner, lock=True)
            session.execute(
                delete(WebhookRow).where(WebhookRow.id == webhook_id),
                execution_options={"synchronize_session": False},
            )

    def add_secret(self, webhook_id: str, owner: str) -> tuple[WebhookSecret, str]:
        """A further secret, which is told this once; messages are signed with it and with those before it, until they
        are removed. ObjectUnknown; QuotaReached when it has too many."""
        secret, kept = _new_secret(self._clock())
        with self._database.transaction() as session:
            row = _found(session, webhook_id, owner, lock=True)
            if len(row.secrets) >= MAX_SECRETS:
                raise QuotaReached("secrets", f"this webhook has {MAX_SECRETS}.", "Remove those that nobody uses.")
            row.secrets = [kept, *row.secrets]
            session.flush()
            return Webhook.of_row(row).secrets[0], secret

    def remove_secret(self, webhook_id: str, owner: str, secret_id: str) -> Webhook:
        """Sign with it no more. ObjectUnknown; InvalidRequest when it is the only one."""
        with self._database.transaction() as session:
            row = _found(session, webhook_id, owner, lock=True)
            left = [one for one in row.secrets if one["id"] != secret_id]
            if len(left) == len(row.secrets):
                raise ObjectUnknown(shown(secret_id), "is no secret of this webhook.", "Look at the webhook.")
            if not left:
                raise InvalidRequest("secret_id", "is the webhook's only secret.", "Add another one first.")
            row.secrets = left
            session.flush()
            return Webhook.of_row(row)

    def ping(self, webhook_id: str, owner: str) -> Delivery:
        """A message that says nothing, to try the webhook out. ObjectUnknown; InvalidRequest when it is off."""
        now = self._clock()
        with self._database.transaction() as session:
            row = _found(session, webhook_id, owner)
            if row.disabled_at is not None:
                raise InvalidRequest("webhook_id", f"is off ({row.disabled_why}).", "Switch it on first.")
            (message_id,) = write_deliveries(session, owner, [row.id], PING, {"id": row.id}, now)
            return Delivery.of_row(session.get_one(DeliveryRow, message_id))


def switch_off(session: Session, webhook_id: str, why: str, now: datetime) -> None:
    """Send nothing to it any more; what waits counts as failed."""
    session.execute(
        update(WebhookRow)
        .where(WebhookRow.id == webhook_id, WebhookRow.disabled_at.is_(None))
        .values(disabled_at=now, disabled_why=why),
        execution_options={"synchronize_session": False},
    )
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.webhook_id == webhook_id, DeliveryRow.state == "pending")
        .values(state="failed", next_at=None),
        execution_options={"synchronize_session": False},
    )


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of what was said. InvalidRequest."""
    checked = dict(values)
    url = checked.get("url")
    if url is not None and not 1 <= len(url) <= MAX_URL_CHARS:
        raise InvalidRequest("url", f"has {len(url)} characters.", f"Give 1 to {MAX_URL_CHARS}.")
    if "description" in checked and len(checked["description"]) > MAX_DESCRIPTION_CHARS:
        raise InvalidRequest("description", "is too long.", f"Give at most {MAX_DESCRIPTION_CHARS} characters.")
    if "events" in checked:
        events = list(dict.fromkeys(checked["events"]))
        for event in events:
            if event not in EVENTS:
                raise InvalidRequest("events", f"{shown(event)!r} is no event.", f"Choose among {', '.join(EVENTS)}.")
        if not events:
            raise InvalidRequest("events", "are none.", "Name one, or switch the webhook off.")
        checked["events"] = events
    return checked


def _new_secret(now: datetime) -> tuple[str, dict[str, str]]:
    """A secret, and how it is kept."""
    secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")
    return secret, {"id": f"sec_{secrets.token_hex(8)}", "secret": secret, "created_at": now.isoformat()}


def _lock_owner(session: Session, owner: str) -> None:
    """Of two that create at once one counts after the other. SQLite has one writer anyway."""
    if session.connection().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:named, 0))"), {"named": f"whk:{owner}"})


def _found(session: Session, webhook_id: str, owner: str, *, lock: bool = False) -> WebhookRow:
    row = None
    if is_id("whk", webhook_id):
        wanted = select(WebhookRow).where(WebhookRow.id == webhook_id, WebhookRow.owner == owner)
        # Not against those who announce: they only want it to stay.
        row = session.scalars(wanted.with_for_update(key_share=True) if lock else wanted).one_or_none()
    if row is None:
        raise ObjectUnknown(shown(webhook_id), "there is no such webhook of yours.", "List them with GET /v1/webhooks.")
    return row
