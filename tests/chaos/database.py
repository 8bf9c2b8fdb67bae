"""Chaos database: an SQLite file in the data folder, or a PostgreSQL of its own that can be taken away."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import make_url

__all__ = ["ChaosDatabase", "Kind"]

Kind = Literal["sqlite", "postgres"]


class ChaosDatabase:
    """`url` is what INTERLEAF_DATABASE_URL is to be; empty: the service's own file."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.url = ""
        self._server: Any = None
        if kind == "postgres":
            import pgserver

            # Right under the temporary folder: as root the server runs as a user of its own, who must get there.
            self._server = pgserver.get_server(Path(tempfile.mkdtemp(prefix="interleaf-chaos-")), cleanup_mode="delete")
            self.url = (
                make_url(self._server.get_uri())
                .set(drivername="postgresql+psycopg")
                .render_as_string(hide_password=False)
            )

    def take_away(self) -> None:
        """Stop the server at once, as a power cut would: no connection is ended in good order."""
        self._control("-m", "immediate", "-w", "stop")

    def bring_back(self) -> None:
        """Start it again at the same address; it repairs what was cut off."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop it and remove its files."""
        if self._server is not None:
            self._server.cleanup()

    def _control(self, *arguments: str) -> None:
        from pgserver._commands import pg_ctl

        pg_ctl(list(arguments), pgdata=self._server.pgdata, user=self._server.system_user)
