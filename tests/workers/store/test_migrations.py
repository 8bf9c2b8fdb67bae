"""Migrations: they make exactly what tables.py says, wholly or not at all, and can be taken back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from interleaf.errors import DatabaseUnusable
from workers.store import revision
from workers.store.database import Database
from workers.store.tables import JobRow, Row

SECRET = {"sqlite": "x'00'", "postgresql": "'\\x00'::bytea"}


def schema_of(connection: Connection) -> dict[str, Any]:
    """Everything that the database knows of its tables: what SQLite was told, what PostgreSQL understood."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return {name: parts_of(sql) for name, sql in rows}
    columns = connection.execute(
        text(
            "SELECT table_name || '.' || column_name, data_type, character_maximum_length, is_nullable, "
            "collation_name, column_default FROM information_schema.columns WHERE table_schema = 'public'"
        )
    )
    rules = connection.execute(
        text(
            "SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace"
        )
    )
    indexes = connection.execute(text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"))
    return {row[0]: tuple(row[1:]) for rows in (columns, rules, indexes) for row in rows}


def parts_of(sql: str) -> list[str]:
    """What stands in the outer brackets of a statement, split at its commas: columns and rules, in whatever order."""
    found, depth = [""], 0
    for char in " ".join(sql.split()):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 1:
            found.append("")
        else:
            found[-1] += char
    head, _, first = found[0].partition("(")
    return sorted([head.strip(), *(part.strip(" )") for part in [first, *found[1:]])])


def without_revision(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: what for name, what in schema.items() if not re.search("alembic_version", f"{name} {what}")}


def test_the_tables_are_those_of_the_program(empty_url: str) -> None:
    database = Database(empty_url)
    database.upgrade()
    with database.transaction() as session:
        connection = session.connection()
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Row.metadata) == []
        migrated = without_revision(schema_of(connection))
        connection.execute(text("DROP TABLE alembic_version"))
        Row.metadata.drop_all(connection)
        assert schema_of(connection) == {}
        Row.metadata.create_all(connection)
        assert schema_of(connection) == migrated
        # The comparison sees what Alembic's own does not: the rules and the index of live runs.
        assert any("state_is_known" in f"{name} {what}" for name, what in migrated.items())
        assert any("WHERE" in f"{what}" for name, what in migrated.items() if name == "uq_jobs_live_run")
    database.close()


def test_upgrading_again_changes_nothing(empty_url: str) -> None:
    database = Database(empty_url)
    database.upgrade()
    with database.reading() as session:
        before = schema_of(session.connection())
        assert revision.revision_of(session.connection()) == revision.newest()
    database.upgrade()
    database.require_schema()
    with database.reading() as session:
        assert schema_of(session.connection()) == before
    database.close()


def test_an_upgrade_that_fails_leaves_nothing(empty_url: str) -> None:
    database = Database(empty_url)
    with database.transaction() as session:
        session.execute(text("CREATE TABLE worker_beats (other INTEGER)"))
    with database.reading() as session:
        before = inspect(session.connection()).get_table_names()
    with pytest.raises(DatabaseUnusable, match="already exists"):
        database.upgrade()
    with database.reading() as session:
        assert inspect(session.connection()).get_table_names() == before == ["worker_beats"]
    database.close()


def test_a_database_of_a_newer_version_is_left_alone(empty_url: str) -> None:
    database = Database(empty_url)
    database.upgrade()
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
    for what in (database.upgrade, database.require_schema):
        with pytest.raises(DatabaseUnusable, match="r9999"):
            what()
    database.close()


def test_every_revision_can_be_taken_back(empty_url: str) -> None:
    database = Database(empty_url)
    database.upgrade()
    with database.transaction() as session:
        config = revision.configuration(session.connection())
        command.downgrade(config, "base")
    with database.reading() as session:
        assert inspect(session.connection()).get_table_names() == ["alembic_version"]
    database.upgrade()
    database.require_schema()
    database.close()


def test_what_is_kept_outlives_an_upgrade_and_its_taking_back(empty_url: str) -> None:
    """Of SQLite above all: a table that were copied and dropped would take its children along."""
    database = Database(empty_url)
    with database.transaction() as session:
        command.upgrade(revision.configuration(session.connection()), "r0002")
        made = "'2026-11-27 10:00:00.000000'"
        for statement in (
            f"INSERT INTO api_keys (id, prefix, secret_sha256, name, scopes, created_at) "
            f"VALUES ('key_1', 'ilk_', {SECRET[database.kind]}, 'n', '[]', {made})",
            f"INSERT INTO documents (id, owner, title, version, article, created_at) "
            f"VALUES ('doc_1', 'key_1', 't', 1, '{{}}', {made})",
            f"INSERT INTO document_versions (document_id, version, article, created_at) "
            f"VALUES ('doc_1', 1, '{{}}', {made})",
        ):
            session.execute(text(statement))
    database.upgrade()
    with database.transaction() as session:
        assert session.execute(text("SELECT document_id, version, how FROM document_versions")).all() == [
            ("doc_1", 1, "made")
        ]
        command.downgrade(revision.configuration(session.connection()), "r0002")
    with database.reading() as session:
        assert session.execute(text("SELECT document_id, version FROM document_versions")).all() == [("doc_1", 1)]
    database.close()


def test_ids_compare_byte_by_byte_on_postgresql(new_postgres: Any) -> None:
    database = Database(new_postgres(None))
    database.upgrade()
    with database.reading() as session:
        wanted = text("SELECT collation_name FROM information_schema.columns WHERE column_name IN ('id', 'job_id') "
                      "AND table_schema = 'public' AND data_type = 'character varying'")  # fmt: skip
        assert set(session.scalars(wanted)) == {"C"}
    database.close()


@pytest.mark.parametrize(
    "condition",
    [
        "owner = 'k' AND id < 'x' ORDER BY id DESC",
        "owner = 'k' AND external_id = 'e'",
        "state = 'queued' AND dispatched_at IS NULL",
        "lease_until <= '2026'",
        "input_deadline <= '2026'",
        "expires_at <= '2026'",
        "run_id = 'r' AND state NOT IN ('canceled', 'expired', 'failed', 'incomplete', 'succeeded')",
    ],
)
def test_what_the_service_looks_for_has_an_index(tmp_path: Path, condition: str) -> None:
    database = Database(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    database.upgrade()
    with database.reading() as session:
        plan = session.execute(text(f"EXPLAIN QUERY PLAN SELECT id FROM {JobRow.__tablename__} WHERE {condition}"))
        said = " ".join(row[3] for row in plan)
    assert "INDEX" in said, said
    assert "TEMP B-TREE" not in said, said
    database.close()
