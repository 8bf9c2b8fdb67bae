"""New rows: inserted unless they are there already. Of several that try at once the database lets one succeed, in the
statement that writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import bindparam, inspect, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from workers.store.tables import Row

__all__ = ["insert_if_new", "insert_new", "insert_with_parts"]

R = TypeVar("R", bound=Row)


def insert_new(session: Session, row: type[R], **values: Any) -> R | None:
    """Insert a row unless one with the same unique values is there already: the row, or None when it was not inserted.

    Every column that may not be empty must be among `values`, which go by the names of the row's attributes.
    """
    insert = _insert_of(session.connection().dialect.name)
    statement = insert(row).values(values).on_conflict_do_nothing().returning(row)
    return session.scalars(statement).one_or_none()


def insert_if_new(session: Session, row: type[Row], **values: Any) -> bool:
    """As `insert_new`, and quicker: whether it was inserted. The statement is made once for each row."""
    connection = session.connection()
    made = _plain(row, connection.dialect.name)
    return connection.execute(made.statement, made.parameters([values])).rowcount == 1


def insert_with_parts(
    session: Session, row: type[Row], values: Mapping[str, Any], parts: Mapping[type[Row], Mapping[str, Any]]
) -> bool:
    """As `insert_if_new`, and with the row, if it was inserted, a row of each of other tables that belongs to it.

    On PostgreSQL all of it is one statement, for what it takes is mostly the way there and back."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        made = _with_parts(tuple((one, tuple(given)) for one, given in ((row, values), *parts.items())))
        return connection.execute(made.statement, made.parameters([values, *parts.values()])).rowcount == 1
    if not insert_if_new(session, row, **values):
        return False
    for part, given in parts.items():
        insert_if_new(session, part, **given)
    return True


@dataclass(frozen=True)
class _Made:
    """A statement, and for each row in it the parameter of each attribute."""

    statement: Any
    names: tuple[Mapping[str, str], ...]

    def parameters(self, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
        """`rows`: values by their attributes' names."""
        return {
            names[attribute]: value
            for names, values in zip(self.names, rows, strict=True)
            for attribute, value in values.items()
        }


@cache
def _plain(row: type[Row], dialect: str) -> _Made:
    # Without that option the count is not kept of a statement that inserts.
    insert = _insert_of(dialect)(row.__table__).on_conflict_do_nothing()
    return _Made(insert.execution_options(preserve_rowcount=True), (_columns(row),))


@cache
def _with_parts(rows: tuple[tuple[type[Row], tuple[str, ...]], ...]) -> _Made:
    """Of the row and its parts, each with the attributes that are given."""
    insert: Any = postgresql.insert
    names: list[Mapping[str, str]] = []

    def bound(number: int, of: type[Row], attributes: tuple[str, ...]) -> dict[str, Any]:
        """For each column its parameter, whose name is its own."""
        columns = _columns(of)
        names.append({attribute: f"row{number}_{columns[attribute]}" for attribute in attributes})
        types = of.__table__.c
        return {
            columns[attribute]: bindparam(names[-1][attribute], type_=types[columns[attribute]].type)
            for attribute in attributes
        }

    (row, given), *parts = rows
    inserted = (
        insert(row.__table__)
        .values(bound(0, row, given))
        .on_conflict_do_nothing()
        .returning(literal_column("1").label("one"))
        .cte("inserted")
    )
    made = []
    for number, (part, attributes) in enumerate(parts, 1):
        columns = bound(number, part, attributes)
        made.append(insert(part.__table__).from_select(list(columns), select(*columns.values()).select_from(inserted)))
    *others, last = made
    for number, other in enumerate(others):
        last = last.add_cte(other.cte(f"part{number}"))
    return _Made(last.execution_options(preserve_rowcount=True), tuple(names))


@cache
def _columns(row: type[Row]) -> Mapping[str, str]:
    """The column of each attribute."""
    return {attribute.key: attribute.columns[0].key for attribute in inspect(row).column_attrs}


def _insert_of(dialect: str) -> Any:
    return sqlite.insert if dialect == "sqlite" else postgresql.insert
