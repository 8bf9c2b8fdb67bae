"""Databases of the job store's tests: each test runs on a real SQLite file and on a real PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.fresh_database import make_fresh
from tests.workers.job_store import Store
from workers.store.database import Database

NewDatabase = Callable[[], str]


@pytest.fixture(scope="session")
def new_postgres(postgres_url: str) -> Iterator[Callable[[str | None], str]]:
    """Makes a database, empty or as a copy of a named one; gives its URL."""
    url = make_url(postgres_url).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")

    def make(template: str | None) -> str:
        name = f"test_{secrets.token_hex(6)}"  # this fixture may stand in several places over one server
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}"))
        return url.set(database=name).render_as_string(hide_password=False)

    yield make
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_template(new_postgres: Callable[[str | None], str]) -> str:
    """Name of a database with our schema, to copy."""
    url = new_postgres(None)
    database = Database(url)
    database.upgrade()
    database.close()
    name = make_url(url).database
    assert name is not None
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'data' / 'jobs.sqlite'}"
    return str(request.getfixturevalue("new_postgres")(None))


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty job store."""
    if request.param == "sqlite":
        made = Store(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
        make_fresh(made.database, made.url)
    else:
        make: Any = request.getfixturevalue("new_postgres")
        made = Store(make(request.getfixturevalue("postgres_template")))
    yield made
    made.database.close()
