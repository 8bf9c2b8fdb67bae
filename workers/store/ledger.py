"""Ledger: what each key has used, by the day (UTC), and what its quotas leave of today.

Every amount is written in the transaction of what it tells of (`account`), so it is there exactly if that is, once:
a job that is taken in, its end, seconds and tokens that the holder of its lease reports, bytes of a file that is kept.
What a worker reports whose lease is lost is refused, and so is not accounted either. Rows outlive jobs and pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from math import ceil
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from interleaf.errors import DayQuotaReached, ObjectUnknown
from workers.store.clock import Clock, utc_now
from workers.store.database import Database, write_last
from workers.store.ids import is_id
from workers.store.tables import ApiKeyRow, LedgerRow

__all__ = ["AMOUNTS", "Amounts", "DayUse", "Ledger", "Quota", "Standing", "account", "standing_of"]


@dataclass(frozen=True)
class Amounts:
    """What was used."""

    jobs: int = 0
    """Taken in, of whatever kind: also what a schedule, a batch or an edit ordered, retries and reruns."""
    ended: int = 0
    """In whatever way; `failed` are among them."""
    failed: int = 0
    seconds: float = 0.0
    """Of work, over all attempts."""
    tokens: int = 0
    """That models wrote; what they read is not counted."""
    bytes: int = 0
    """Of finished files that were kept."""

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(*(getattr(self, name) + getattr(other, name) for name in AMOUNTS))

    @classmethod
    def of(cls, row: Any) -> Amounts:
        """Of anything that has them by their names; what is missing is nothing."""
        # Sums of whole numbers come as decimals from PostgreSQL, and a whole number of seconds as an int from SQLite.
        return cls(
            int(row.jobs or 0),
            int(row.ended or 0),
            int(row.failed or 0),
            float(row.seconds or 0),
            int(row.tokens or 0),
            int(row.bytes or 0),
        )


AMOUNTS: Final = tuple(field.name for field in fields(Amounts))


@dataclass(frozen=True)
class DayUse:
    """What a key used on a day."""

    day: date
    used: Amounts

    @property
    def id(self) -> str:
        """The day as lists are read by it: YYYY-MM-DD."""
        return self.day.isoformat()


@dataclass(frozen=True)
class Quota:
    """A quota of a key for each day, and what is used of it today."""

    name: str
    """As the key has it: `max_jobs_per_day` and so on."""
    limit: int
    used: float

    @property
    def left(self) -> float:
        """Never less than nothing: work that has begun goes on over a quota."""
        return max(0, self.limit - self.used)


@dataclass(frozen=True)
class Standing:
    """How far a key is with its quotas of today."""

    now: datetime
    used: Amounts
    quotas: tuple[Quota, ...]
    """Those that it has."""

    @property
    def free_at(self) -> datetime:
        """When the next day begins."""
        return datetime.combine(self.now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)

    @property
    def jobs_left(self) -> int | None:
        """How many jobs may be taken in today; None: as many as come."""
        if any(not quota.left for quota in self.quotas):
            return 0
        return next((int(quota.left) for quota in self.quotas if quota.name == _JOBS), None)

    def require(self, jobs: int = 1) -> None:
        """That so many jobs may be taken in now. DayQuotaReached."""
        for quota in self.quotas:
            if quota.left < jobs if quota.name == _JOBS else not quota.left:
                raise self._reached(quota)

    def _reached(self, quota: Quota) -> DayQuotaReached:
        free_at = f"{self.free_at:%Y-%m-%dT%H:%M:%SZ}"
        what = {_JOBS: "jobs", _SECONDS: "seconds of work", _TOKENS: "tokens"}[quota.name]
        return DayQuotaReached(
            quota.name,
            f"{what} on a day (UTC) are limited to {quota.limit:,} for this key; used so far: {_shown(quota.used)}.",
            f"There is room again at {free_at}; an administrator may change the quota.",
            quota.name,
            quota.limit,
            round(quota.used, 3),
            free_at,
            max(1, ceil((self.free_at - self.now).total_seconds())),
        )


_JOBS: Final = "max_jobs_per_day"
_SECONDS: Final = "max_seconds_per_day"
_TOKENS: Final = "max_tokens_per_day"
_QUOTAS: Final = {_JOBS: "jobs", _SECONDS: "seconds", _TOKENS: "tokens"}
"""Which amount each is of."""


def account(session: Session, owner: str, now: datetime, used: Amounts, *, held: bool = False) -> None:
    """Write down what a key used, at the end of the transaction that `session` is in.

    `held`: the jobs among it are held against the key's quotas of the day; the transaction ends with DayQuotaReached,
    and nothing of it is written, when there is no room for them. Of several that come at once as many get in as there
    is room for."""
    if used != _NOTHING:
        entry = _Entry(owner, _day(now), used, used.jobs, now) if held else _Entry(owner, _day(now), used)
        write_last(session, _write, entry)


def standing_of(session: Session, owner: str, now: datetime) -> Standing:
    """Of a key that is there."""
    wanted = (
        select(*(getattr(ApiKeyRow, name) for name in _QUOTAS), *(getattr(LedgerRow, name) for name in AMOUNTS))
        .outerjoin(LedgerRow, (LedgerRow.key_id == ApiKeyRow.id) & (LedgerRow.day == _day(now)))
        .where(ApiKeyRow.id == owner)
    )
    row = session.execute(wanted).one_or_none()
    if row is None:
        raise ObjectUnknown(owner, "there is no such key.", "List them with GET /v1/keys.")
    return _standing(now, Amounts.of(row), row)


class Ledger:
    """The ledger of all keys, for who reads it. Every method may raise ServiceAway."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def standing(self, owner: str) -> Standing:
        """Of today. ObjectUnknown."""
        with self._database.reading() as session:
            if not is_id("key", owner):  # what is not written as an id is not even looked up
                raise ObjectUnknown(owner, "there is no such key.", "List them with GET /v1/keys.")
            return standing_of(session, owner, self._clock())

    def days(
        self, owner: str, since: date, until: date, limit: int, after: str | None = None, before: str | None = None
    ) -> list[DayUse]:
        """At most `limit` days from `since` to `until` on which the key used something, newest first; older than the
        day `after`, or, oldest first, newer than the day `before` (both YYYY-MM-DD)."""
        wanted = select(LedgerRow).where(*_within(owner, since, until))
        if after is not None:
            wanted = wanted.where(LedgerRow.day < after)
        if before is not None:
            wanted = wanted.where(LedgerRow.day > before)
        order = LedgerRow.day.desc() if before is None else LedgerRow.day.asc()
        with self._database.reading() as session:
            rows = session.scalars(wanted.order_by(order).limit(limit))
            return [DayUse(date.fromisoformat(row.day), Amounts.of(row)) for row in rows]

    def total(self, owner: str, since: date, until: date) -> Amounts:
        """What the key used from `since` to `until`, both included."""
        sums = (func.sum(getattr(LedgerRow, name)).label(name) for name in AMOUNTS)
        with self._database.reading() as session:
            return Amounts.of(session.execute(select(*sums).where(*_within(owner, since, until))).one())

    def forget(self, before: date) -> int:
        """Forget the days before that one, of all keys; how many rows that were."""
        with self._database.transaction() as session:
            old = delete(LedgerRow).where(LedgerRow.day < before.isoformat())
            return session.connection().execute(old).rowcount


_NOTHING: Final = Amounts()


@dataclass(frozen=True)
class _Entry:
    owner: str
    day: str
    used: Amounts
    jobs_held: int = 0
    """Jobs of it that are held against the quotas."""
    held_at: datetime | None = None
    """When these were taken in."""

    def with_(self, other: _Entry) -> _Entry:
        """Both, of one key and day."""
        jobs, at = self.jobs_held + other.jobs_held, self.held_at or other.held_at
        return _Entry(self.owner, self.day, self.used + other.used, jobs, at)


def _write(session: Session, entries: Sequence[_Entry]) -> None:
    """One statement for each key and day, in the order of these, so that transactions never wait for each other."""
    connection = session.connection()
    for entry in entries if len(entries) == 1 else _merged(entries):
        values: dict[str, Any] = {"key_id": entry.owner, "day": entry.day, **vars(entry.used)}
        if entry.held_at is None:
            connection.execute(_adding(connection.dialect.name, asked=False), values)
            continue
        row = connection.execute(_adding(connection.dialect.name, asked=True), values | {"owner": entry.owner}).one()
        if any(limit is not None for limit in row[: len(_QUOTAS)]):
            # Before these jobs: what the row has now is with them.
            before = Amounts.of(row) + Amounts(jobs=-entry.jobs_held)
            _standing(entry.held_at, before, row).require(entry.jobs_held)


def _merged(entries: Sequence[_Entry]) -> list[_Entry]:
    found: dict[tuple[str, str], _Entry] = {}
    for entry in entries:
        place = (entry.owner, entry.day)
        known = found.get(place)
        found[place] = entry if known is None else known.with_(entry)
    return [found[place] for place in sorted(found)]


@cache
def _adding(dialect: str, *, asked: bool) -> Any:
    """The statement that adds to a row; `asked`: and gives it as it is then, with the key's quotas."""
    made: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    insert, columns = made(LedgerRow.__table__), LedgerRow.__table__.c
    adding = insert.on_conflict_do_update(
        index_elements=[columns.key_id, columns.day],
        set_={name: columns[name] + insert.excluded[name] for name in AMOUNTS},
    )
    if not asked:
        return adding
    quotas = (
        select(getattr(ApiKeyRow, name)).where(ApiKeyRow.id == bindparam("owner")).scalar_subquery().label(name)
        for name in _QUOTAS
    )
    return adding.returning(*quotas, *(columns[name] for name in AMOUNTS))


def _standing(now: datetime, used: Amounts, quotas: Any) -> Standing:
    limits = {name: getattr(quotas, name) for name in _QUOTAS}
    return Standing(
        now,
        used,
        tuple(Quota(name, limit, getattr(used, _QUOTAS[name])) for name, limit in limits.items() if limit is not None),
    )


def _within(owner: str, since: date, until: date) -> tuple[Any, ...]:
    return (LedgerRow.key_id == owner, LedgerRow.day.between(since.isoformat(), until.isoformat()))


def _day(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()


def _shown(used: float) -> str:
    return f"{used:,.1f}" if isinstance(used, float) else f"{used:,}"
