"""Fresh database: a database of jobs with our schema and nothing in it, for a test of its own.

The steps of the schema, which tests/workers/store/test_migrations.py proves, are gone once in a process; every other
database of SQLite is a copy of the file that came of it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url

from workers.store.database import Database

__all__ = ["make_fresh"]


def make_fresh(database: Database, url: str) -> None:
    """Give `database`, which is the one at `url`, our schema. One that is there already is brought to it."""
    parsed = make_url(url)
    file = Path(parsed.database or "")
    if parsed.drivername != "sqlite" or file.exists():
        database.upgrade()
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_empty())


@cache
def _empty() -> bytes:
    """The file of a database with our schema."""
    with TemporaryDirectory(prefix="interleaf-fresh-") as folder:
        file = Path(folder) / "jobs.sqlite"
        database = Database(f"sqlite:///{file}")
        database.upgrade()
        database.close()
        return file.read_bytes()
