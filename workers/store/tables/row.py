"""Row: the base of all tables, and the types of their columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, MetaData, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

from workers.store.ids import ID_CHARS

__all__ = ["Id", "Json", "Row", "UtcTime"]


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC, to the microsecond. SQLite keeps text of one width, so both databases order it alike."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone is not written")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Compared byte by byte on PostgreSQL too, whatever the language of its database: ids sort by time.
Id = String(ID_CHARS).with_variant(String(ID_CHARS, collation="C"), "postgresql")
# Not JSONB: that refuses an escaped NUL and reorders keys. A missing value is SQL's NULL.
Json = JSON(none_as_null=True)


class Row(DeclarativeBase):
    """A row of the job store."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcTime(), dict[str, Any]: Json, int: BigInteger()}
