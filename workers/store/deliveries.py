"""Deliveries: messages of webhooks on their way: read and replayed by their owner, claimed and recorded by who sends.

A message is sent at least once: whoever dies between sending and recording has claimed it for a while only, and it is
sent again with the same id. After a failure it is tried again, more and more seldom.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from interleaf.errors import InvalidRequest, ObjectUnknown, shown
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import first_id, is_id
from workers.store.tables import ApiKeyRow, DeliveryAttemptRow, DeliveryRow, WebhookRow
from workers.store.webhook import Delivery, DeliveryAttempt, DeliveryState
from workers.store.webhooks import switch_off

__all__ = ["GONE", "SCHEDULE_S", "ClaimedDelivery", "Deliveries", "Outcome"]

SCHEDULE_S: Final[tuple[float, ...]] = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each attempt, from the one before it; after the last one a message has failed."""
JITTER: Final = 0.1
"""Up to so large a part of a pause comes on top: what failed together is not to come back together."""
MAX_ASKED_S: Final = 86_400.0
"""Longest pause that a receiver's Retry-After can ask for: a day, the longest of the schedule."""
DEAF: Final = "its receiver took nothing while a message was tried to the last time"
"""Why a webhook was switched off whose receiver seems to be no more."""
GONE: Final = 410
"""The status by which a receiver says that it wants no more, ever."""
MOST_ATTEMPTS: Final = 50
"""Of one message, shown with it: the newest."""
MAX_ERROR_CHARS: Final = 300


@dataclass(frozen=True)
class ClaimedDelivery:
    """A message that somebody is about to send. Nobody else does before `until`."""

    id: str
    webhook_id: str
    url: str
    secrets: tuple[str, ...]
    body: bytes
    until: datetime


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt."""

    at: datetime
    """When it began."""
    seconds: float
    status: int | None
    error: str
    """Empty: the message was taken."""
    retry_after_s: float | None = None
    """Seconds that the receiver asks to wait. The next attempt is not sooner, within MAX_ASKED_S."""


class Deliveries:
    """The messages of all owners. Another owner's is ObjectUnknown. Every method may raise ServiceAway."""

    def __init__(
        self, database: Database, *, clock: Clock = utc_now, chance: Callable[[], float] = random.random
    ) -> None:
        """`chance`: numbers from 0 to 1, for the pauses."""
        self._database = database
        self._clock = clock
        self._chance = chance

    def get(self, message_id: str, owner: str) -> Delivery:
        """With its newest attempts. ObjectUnknown."""
        wanted = (
            select(DeliveryAttemptRow)
            .where(DeliveryAttemptRow.delivery_id == message_id)
            .order_by(DeliveryAttemptRow.number.desc())
            .limit(MOST_ATTEMPTS)
        )
        with self._database.reading() as session:
            row = _found(session, message_id, owner)
            attempts = [DeliveryAttempt.of_row(one) for one in session.scalars(wanted)]
            return Delivery.of_row(row, tuple(reversed(attempts)))

    def list(
        self,
        owner: str,
        limit: int,
        after: str | None = None,
        before: str | None = None,
        *,
        webhook_id: str | None = None,
        state: DeliveryState | None = None,
    ) -> list[Delivery]:
        """At most `limit` messages without their attempts, newest first; older than `after`, or, oldest first, newer
        than `before`."""
        wanted = select(DeliveryRow).where(DeliveryRow.owner == owner)
        if webhook_id is not None:
            wanted = wanted.where(DeliveryRow.webhook_id == webhook_id)
        if state is not None:
            wanted = wanted.where(DeliveryRow.state == state)
        if after is not None:
            wanted = wanted.where(DeliveryRow.id < after)
        if before is not None:
            wanted = wanted.where(DeliveryRow.id > before)
        order = DeliveryRow.id.desc() if before is None else DeliveryRow.id.asc()
        with self._database.reading() as session:
            return [Delivery.of_row(row) for row in session.scalars(wanted.order_by(order).limit(limit))]

    def replay(self, message_id: str, owner: str) -> Delivery:
        """Send it again from now on, with all the attempts of a new one and the same id and body. ObjectUnknown;
        InvalidRequest when its webhook is off."""
        now = self._clock()
        with self._database.transaction() as session:
            row = _found(session, message_id, owner, lock=True)
            off = session.scalar(select(WebhookRow.disabled_at).where(WebhookRow.id == row.webhook_id))
            if off is not None:
                raise InvalidRequest("webhook_id", f"{row.webhook_id} is off.", "Switch it on first.")
            row.state, row.attempt_count, row.next_at = "pending", 0, now
            session.flush()
            return Delivery.of_row(row)

    # What the service does

    def claim(self, lease_s: float, *, but_webhooks: Collection[str] = ()) -> ClaimedDelivery | None:
        """A message whose time has come, for whoever calls to send it within `lease_s` seconds and then to `record`
        what came of it; the one that has waited longest, none for `but_webhooks`. None: there is nothing to send."""
        now = self._clock()
        due = (
            select(DeliveryRow)
            .where(
                DeliveryRow.next_at <= now,
                DeliveryRow.state == "pending",
                or_(DeliveryRow.claimed_until.is_(None), DeliveryRow.claimed_until <= now),
            )
            .order_by(DeliveryRow.next_at, DeliveryRow.id)
            .limit(1)
        )
        if but_webhooks:
            due = due.where(DeliveryRow.webhook_id.not_in(sorted(but_webhooks)))
        # Looked for first: a round that finds nothing must not stand in the way of those who write.
        with self._database.reading() as session:
            if session.scalar(due.with_only_columns(DeliveryRow.id)) is None:
                return None
        with self._database.transaction() as session:
            while (row := session.scalars(due.with_for_update(skip_locked=True)).one_or_none()) is not None:
                webhook = session.get_one(WebhookRow, row.webhook_id)
                # What a key that leaked has set up ends with it. One that is off may have been told in that moment.
                if webhook.disabled_at is not None or _key_is_revoked(session, webhook.owner):
                    switch_off(session, webhook.id, "its key was revoked", now)
                    session.expire(row)
                    continue
                row.claimed_until = now + timedelta(seconds=lease_s)
                session.flush()
                keys = tuple(str(one["secret"]) for one in webhook.secrets)
                return ClaimedDelivery(row.id, webhook.id, webhook.url, keys, bytes(row.body), row.claimed_until)
        return None

    def record(self, claimed: ClaimedDelivery, outcome: Outcome) -> bool:
        """Write down what came of a claimed message, and when it is tried next. False, and nothing is written, when it
        is no longer this caller's: it took too long, or the webhook was deleted."""
        now = self._clock()
        mine = select(DeliveryRow).where(DeliveryRow.id == claimed.id, DeliveryRow.claimed_until == claimed.until)
        with self._database.transaction() as session:
            if outcome.error:
                # It may be switched off below: locked before its messages, as by its owner who switches it off.
                held = select(WebhookRow.id).where(WebhookRow.id == claimed.webhook_id)
                session.execute(held.with_for_update(key_share=True))
            row = session.scalars(mine.with_for_update()).one_or_none()
            if row is None:
                return False
            last = session.scalar(
                select(func.max(DeliveryAttemptRow.number)).where(DeliveryAttemptRow.delivery_id == claimed.id)
            )
            session.add(
                DeliveryAttemptRow(
                    delivery_id=claimed.id,
                    number=(last or 0) + 1,
                    at=outcome.at,
                    seconds=outcome.seconds,
                    status=outcome.status,
                    error=outcome.error[:MAX_ERROR_CHARS],
                )
            )
            row.claimed_until = None
            row.attempt_count += 1
            if not outcome.error:
                row.state, row.next_at = "delivered", None
            elif row.state == "pending":  # else its webhook was switched off meanwhile
                self._put_off(row, now, outcome.retry_after_s or 0.0)
            session.flush()
            if outcome.status == GONE:
                switch_off(session, claimed.webhook_id, f"its receiver answered {GONE}", now)
            elif row.state == "failed" and not _took_any(session, row):
                switch_off(session, claimed.webhook_id, DEAF, now)
        return True

    def forget(self, before: datetime, limit: int = 1_000) -> int:
        """Forget at most `limit` messages that were made before that time and are not to be sent any more; how
        many."""
        old = (
            select(DeliveryRow.id)
            .where(DeliveryRow.id < first_id("msg", before), DeliveryRow.state != "pending")
            .order_by(DeliveryRow.id)
            .limit(limit)
        )
        with self._database.reading() as session:
            ids = session.scalars(old).all()
        if not ids:
            return 0
        with self._database.transaction() as session:
            gone = delete(DeliveryRow).where(DeliveryRow.id.in_(ids), DeliveryRow.state != "pending")
            return session.connection().execute(gone).rowcount

    def _put_off(self, row: DeliveryRow, now: datetime, asked_s: float) -> None:
        if row.attempt_count >= len(SCHEDULE_S):
            row.state, row.next_at = "failed", None
            return
        pause_s = max(SCHEDULE_S[row.attempt_count], min(asked_s, MAX_ASKED_S))
        row.next_at = now + timedelta(seconds=pause_s * (1 + JITTER * self._chance()))


def _took_any(session: Session, failed: DeliveryRow) -> bool:
    """Whether the receiver took any message since this one was made."""
    taken = (
        select(DeliveryAttemptRow.number)
        .join(DeliveryRow, DeliveryRow.id == DeliveryAttemptRow.delivery_id)
        .where(
            DeliveryRow.webhook_id == failed.webhook_id,
            DeliveryRow.state == "delivered",
            DeliveryAttemptRow.at >= failed.created_at,
        )
        .limit(1)
    )
    return session.scalar(taken) is not None


def _key_is_revoked(session: Session, key_id: str) -> bool:
    return session.scalar(select(ApiKeyRow.revoked_at).where(ApiKeyRow.id == key_id)) is not None


def _found(session: Session, message_id: str, owner: str, *, lock: bool = False) -> DeliveryRow:
    row = None
    if is_id("msg", message_id):
        wanted = select(DeliveryRow).where(DeliveryRow.id == message_id, DeliveryRow.owner == owner)
        row = session.scalars(wanted.with_for_update() if lock else wanted).one_or_none()
    if row is None:
        raise ObjectUnknown(
            shown(message_id), "there is no such delivery of yours.", "List them with GET /v1/webhook-deliveries."
        )
    return row
