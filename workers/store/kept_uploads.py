"""Kept uploads: files that a schedule names do not expire while it exists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import String, cast, select, update
from sqlalchemy.orm import Session

from workers.store.ids import is_id
from workers.store.tables import ScheduleRow, UploadRow

__all__ = ["keep_uploads", "release_uploads", "uploads_in"]

_ID: Final = re.compile(r"upl_[0-9a-z]{26}")
_AT_ONCE: Final = 500


def uploads_in(*values: Any) -> set[str]:
    """The ids of uploads that stand in the texts of JSON values: in a brief, or among what a placeholder stands for."""
    return {upload_id for value in values for text in _texts(value) for upload_id in _named(text)}


def keep_uploads(session: Session, owner: str, upload_ids: set[str], now: datetime) -> None:
    """Those of them that are the owner's, and there, do not expire any more."""
    for some in _portions(upload_ids):
        there = UploadRow.expires_at.is_(None) | (UploadRow.expires_at > now)
        session.execute(
            update(UploadRow)
            .where(UploadRow.id.in_(some), UploadRow.owner == owner, there)
            .values(expires_at=None)
            .execution_options(synchronize_session=False)
        )


def release_uploads(
    session: Session, owner: str, upload_ids: set[str], expires_at: datetime, *, but_schedule: str
) -> None:
    """Those that no schedule of the owner names but that one expire then."""
    left = set(upload_ids)
    if not left:
        return
    # Held first: a schedule that is being made and names one of them is seen below, or comes afterwards.
    for some in _portions(left):
        held = select(UploadRow.id).where(UploadRow.id.in_(some), UploadRow.owner == owner).order_by(UploadRow.id)
        session.execute(held.with_for_update())
    others = (ScheduleRow.owner == owner, ScheduleRow.id != but_schedule)
    # As text: an id stands in JSON as it is, and a brief may be large.
    for column in (ScheduleRow.brief, ScheduleRow.variables):
        for text in session.scalars(select(cast(column, String)).where(*others).execution_options(yield_per=20)):
            left -= _named(text)
    for some in _portions(left):
        session.execute(
            update(UploadRow)
            .where(UploadRow.id.in_(some), UploadRow.owner == owner, UploadRow.expires_at.is_(None))
            .values(expires_at=expires_at)
            .execution_options(synchronize_session=False)
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _named(text: str) -> set[str]:
    return {found for found in _ID.findall(text) if is_id("upl", found)}


def _portions(upload_ids: set[str]) -> Iterator[list[str]]:
    """A statement may have only so many values."""
    rest = iter(sorted(upload_ids))
    while some := list(islice(rest, _AT_ONCE)):
        yield some
