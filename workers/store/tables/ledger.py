"""Table of the ledger: what each key has used, day by day."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from workers.store.tables.row import Id, Row

__all__ = ["LedgerRow"]


class LedgerRow(Row):
    """What a key used on a day (UTC)."""

    __tablename__ = "ledger"

    key_id: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    """YYYY-MM-DD."""
    jobs: Mapped[int]
    seconds: Mapped[float]
    tokens: Mapped[int]
    bytes: Mapped[int]
