"""Table of the ledger: what each key has used, day by day."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from workers.store.tables.row import Id, Row

__all__ = ["LedgerRow"]


class LedgerRow(Row):
    """What a key used on a day (UTC). Written by workers/store/ledger.py, which says what counts when."""

    __tablename__ = "ledger"

    key_id: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True, index=True)
    """YYYY-MM-DD. With an index of its own: days that are old are forgotten."""
    jobs: Mapped[int]
    ended: Mapped[int]
    failed: Mapped[int]
    seconds: Mapped[float]
    tokens: Mapped[int]
    bytes: Mapped[int]
