"""Kept uploads: files that a schedule names do not expire while it exists, nor those of a batch until it has ended."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import Select, String, cast, select, update
from sqlalchemy.orm import Session

from workers.store.ids import is_id
from workers.store.tables import BatchItemRow, BatchRow, ScheduleRow, UploadRow

__all__ = ["keep_uploads", "release_uploads", "uploads_in", "uploads_of_batch"]

_ID: Final = re.compile(r"upl_[0-9a-z]{26}")
_AT_ONCE: Final = 500


def uploads_in(*values: Any) -> set[str]:
    """The ids of uploads that stand in the texts of JSON values: in a brief, or among what a placeholder stands for."""
    return {upload_id for value in values for text in _texts(value) for upload_id in _named(text)}


def uploads_of_batch(session: Session, row: BatchRow) -> set[str]:
    """The ids of uploads that stand in the brief of a batch, or in the values of its items."""
    return _named_by(session, _variables(BatchItemRow.batch_id == row.id)) | uploads_in(row.brief)


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


def release_uploads(session: Session, owner: str, upload_ids: set[str], expires_at: datetime, *, but: str) -> None:
    """Those expire then that no schedule of the owner names, and no batch that has not ended, but the one with the id
    `but`."""
    left = set(upload_ids)
    if not left:
        return
    # Held first: what is being made and names one of them is seen below, or comes afterwards.
    for some in _portions(left):
        held = select(UploadRow.id).where(UploadRow.id.in_(some), UploadRow.owner == owner).order_by(UploadRow.id)
        session.execute(held.with_for_update())
    schedules = (ScheduleRow.owner == owner, ScheduleRow.id != but)
    batches = (BatchRow.owner == owner, BatchRow.id != but, BatchRow.ended_at.is_(None))
    for texts in (
        select(cast(ScheduleRow.brief, String)).where(*schedules),
        select(cast(ScheduleRow.variables, String)).where(*schedules),
        select(cast(BatchRow.brief, String)).where(*batches),
        _variables(*batches),
    ):
        left -= _named_by(session, texts)
    for some in _portions(left):
        session.execute(
            update(UploadRow)
            .where(UploadRow.id.in_(some), UploadRow.owner == owner, UploadRow.expires_at.is_(None))
            .values(expires_at=expires_at)
            .execution_options(synchronize_session=False)
        )


def _variables(*batches: Any) -> Select[str]:
    """What the placeholders of the items of such batches stand for, where that names an upload."""
    text = cast(BatchItemRow.variables, String)
    joined = select(text).join(BatchRow, BatchRow.id == BatchItemRow.batch_id)
    return joined.where(*batches, text.contains("upl_", autoescape=True))


def _named_by(session: Session, texts: Select[str]) -> set[str]:
    """The ids in JSON as text: an id stands in it as it is, and there may be much of it."""
    rows = session.scalars(texts.execution_options(yield_per=20))
    return {upload_id for text in rows for upload_id in _named(text)}


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
