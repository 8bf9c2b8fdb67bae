"""Unowned: what lies in the file store or among the run folders and belongs to no row of the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select

from workers.store.database import Database
from workers.store.tables import ApiKeyRow, ArtifactRow, DocumentRow, JobRow, UploadRow

__all__ = ["Unowned"]


class Unowned:
    """Asks the database. At most some hundred values at a time. Every method may raise ServiceAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self) -> datetime | None:
        """Since when the database has had anything; None when it has not. What is older is another database's: somebody
        may have named a new one over an old data folder, and will want to go back."""
        with self._database.reading() as session:
            first: datetime | None = session.scalar(select(func.min(ApiKeyRow.created_at)))
            return first

    def files(self, keys: Sequence[str]) -> list[str]:
        """Those of these keys of the file store that neither an artifact nor an upload has."""
        with self._database.reading() as session:
            owned = {
                key
                for row in (ArtifactRow, UploadRow)
                for key in session.scalars(select(row.file_key).where(row.file_key.in_(keys)))
            }
        return [key for key in keys if key not in owned]

    def runs(self, run_ids: Sequence[str]) -> list[str]:
        """Those of these runs that no job has, and that no document was made from."""
        with self._database.reading() as session:
            owned = {
                run_id
                for row in (JobRow, DocumentRow)
                for run_id in session.scalars(select(row.run_id).where(row.run_id.in_(run_ids)))
            }
        return [run_id for run_id in run_ids if run_id not in owned]
