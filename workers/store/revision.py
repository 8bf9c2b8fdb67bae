"""Revision: which version of the schema a database has, and bringing it to ours. The only file that knows Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from interleaf.errors import DatabaseUnusable

__all__ = ["FOLDER", "configuration", "newest", "require_newest", "revision_of", "upgrade"]

FOLDER: Final = Path(__file__).resolve().parent / "migrations"


def newest() -> str:
    """The revision that this version of interleaf works with."""
    found = ScriptDirectory.from_config(configuration()).get_current_head()
    assert found is not None
    return found


def revision_of(connection: Connection) -> str | None:
    """The revision that the database has; None when it has no tables of ours."""
    return MigrationContext.configure(connection).get_current_revision()


def require_newest(connection: Connection) -> None:
    """DatabaseUnusable when the database has another revision than `newest()`."""
    found, wanted = revision_of(connection), newest()
    if found != wanted:
        raise DatabaseUnusable(
            "database",
            f"its schema is {found or 'not there'}, and this version of interleaf needs {wanted}.",
            "Start the service once: it brings an older schema to its own. For a newer one, upgrade interleaf.",
        )


def upgrade(connection: Connection) -> None:
    """Bring the schema to `newest()` within the transaction that `connection` is in."""
    try:
        command.upgrade(configuration(connection), "head")
    except CommandError as error:
        raise DatabaseUnusable(
            "database",
            f"its schema cannot be brought to this version's ({error}).",
            "It was probably written by a newer interleaf: upgrade, or restore a backup.",
        ) from error


def configuration(connection: Connection | None = None) -> Config:
    """What Alembic's commands need; those that touch a database do it on `connection`, in the transaction it is in."""
    config = Config()
    # A percent sign in a path would be read as the beginning of a variable.
    config.set_main_option("script_location", FOLDER.as_posix().replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
