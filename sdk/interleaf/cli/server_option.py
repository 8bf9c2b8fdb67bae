"""Server option: how a command is told which service does its work and with which key, and the client of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from interleaf.cli.key_file import key_in

if TYPE_CHECKING:
    from interleaf.service.client import Client

__all__ = ["KeyFileOption", "ServerOption", "opened_client"]

ServerOption: Final = typer.Option(
    None,
    "--server",
    metavar="URL",
    envvar="INTERLEAF_SERVER",
    help='The service that does the work, such as http://127.0.0.1:8000; "" works here whatever the environment says.',
)

KeyFileOption: Final = typer.Option(
    None,
    "--api-key-file",
    metavar="FILE",
    help="With --server: a file with your key of the service, in place of INTERLEAF_API_KEY.",
)


@contextmanager
def opened_client(server: str | None, key_file: Path | None = None) -> Iterator[Client]:
    """The service at that address (None or empty: INTERLEAF_SERVER), spoken to with the key in the file, or else the
    one in INTERLEAF_API_KEY. SettingInvalid names what is missing or wrong."""
    from interleaf.service.client import Client

    with Client(server or None, None if key_file is None else key_in(key_file)) as client:
        yield client
