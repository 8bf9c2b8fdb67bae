"""Rows that are there or not as a whole, on both databases: of many that try the same, one succeeds, with its parts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from interleaf.errors import DatabaseUnusable
from tests.workers.job_store import Store
from workers.store.new_rows import insert_if_new, insert_with_parts
from workers.store.tables import DeliveryRow, Row, WebhookRow

NOW = datetime(2026, 11, 28, 10, 0, 0, 1_000, tzinfo=UTC)


def webhook(owner: str, **other: Any) -> dict[str, Any]:
    values = {"id": "whk_" + "0" * 26, "owner": owner, "url": "https://example.org/", "description": '\u00e4 "b"'}
    more = {"events": ["job.failed"], "secrets": [{"a": [1, None]}], "created_at": NOW, "disabled_why": ""}
    return values | more | other


def message(owner: str, **other: Any) -> dict[str, Any]:
    values = {"id": "msg_" + "0" * 26, "webhook_id": "whk_" + "0" * 26, "owner": owner, "event": "ping"}
    more = {"body": b"\0{}", "state": "pending", "attempt_count": 0, "next_at": None, "created_at": NOW}
    return values | more | other


def counted(store: Store, row: type[Row]) -> int:
    with store.database.reading() as session:
        return session.scalar(select(func.count()).select_from(row)) or 0


def test_a_row_comes_with_its_parts_as_they_were_given(store: Store) -> None:
    owner = store.owner
    with store.database.transaction() as session:
        assert insert_with_parts(session, WebhookRow, webhook(owner), {DeliveryRow: message(owner)})
    with store.database.reading() as session:
        found, part = session.scalars(select(WebhookRow)).one(), session.scalars(select(DeliveryRow)).one()
        assert {name: getattr(found, name) for name in webhook(owner)} == webhook(owner)
        assert {name: getattr(part, name) for name in message(owner)} == message(owner)
        assert (found.disabled_at, part.claimed_until) == (None, None)


def test_where_the_row_is_there_no_part_is_written(store: Store) -> None:
    owner = store.owner
    with store.database.transaction() as session:
        assert insert_if_new(session, WebhookRow, **webhook(owner))
        assert not insert_with_parts(session, WebhookRow, webhook(owner), {DeliveryRow: message(owner)})
        assert not insert_if_new(session, WebhookRow, **webhook(owner))
    assert (counted(store, WebhookRow), counted(store, DeliveryRow)) == (1, 0)


def test_of_many_that_try_at_once_one_succeeds_with_its_part(store: Store) -> None:
    owner = store.owner

    def insert(number: int) -> bool:
        part = message(owner, id=f"msg_{number:026}")
        with store.database.transaction() as session:
            return insert_with_parts(session, WebhookRow, webhook(owner), {DeliveryRow: part})

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(insert, range(24))) == 1
    assert (counted(store, WebhookRow), counted(store, DeliveryRow)) == (1, 1)


def test_a_part_that_breaks_a_rule_undoes_the_row(store: Store) -> None:
    owner = store.owner
    parts: dict[type[Row], Any] = {DeliveryRow: message(owner, webhook_id="whk_of_nobody")}
    with pytest.raises(DatabaseUnusable), store.database.transaction() as session:
        insert_with_parts(session, WebhookRow, webhook(owner), parts)
    assert (counted(store, WebhookRow), counted(store, DeliveryRow)) == (0, 0)
