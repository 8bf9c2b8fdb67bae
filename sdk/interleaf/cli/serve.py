"""`interleaf serve`: the service on this machine, whole or one part of it; `interleaf health`: whether a part works."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from workers.settings import Settings

__all__ = ["EPILOG", "HEALTH_EPILOG", "Role", "health", "serve"]

DEFAULT_PORT = 8000

EPILOG = """
Examples:

  interleaf serve

  interleaf serve --data /srv/interleaf --port 0 --verbose

The first start prints the line `api key: KEY`, and every start, when everything answers, the line \
`ready: http://127.0.0.1:PORT`. Then, in another terminal or program:

  INTERLEAF_API_KEY=KEY interleaf compose brief.yaml --server http://127.0.0.1:8000 --out out/

Ctrl-C ends it: jobs that are being worked on go back to the queue and go on at the next start. What each part says \
is in DATA/logs/.

On several machines each runs parts of it, with the same INTERLEAF_DATABASE_URL, INTERLEAF_REDIS_URL and \
INTERLEAF_ARTIFACTS, and one data folder that all see:

  interleaf serve api --host 0.0.0.0

  interleaf serve compose

Exit codes: 0 asked to end · 2 the address or a setting cannot be used · 3 the data folder cannot be written · 5 \
another service runs on the data folder, or the database or the queue is away.
"""

HEALTH_EPILOG = """
Examples:

  interleaf health

  interleaf health api --port 8000

  interleaf health compose

Exit codes: 0 it works · 1 it does not.
"""


class Role(StrEnum):
    """A part of the service."""

    api = "api"
    compose = "compose"
    render = "render"
    library = "library"
    beat = "beat"


DATA = typer.Option(None, "--data", metavar="DIR", help="Data folder (default: INTERLEAF_HOME).")


def serve(
    role: Role | None = typer.Argument(None, help="One part only, in the foreground; without it: everything."),
    data: Path | None = DATA,
    port: int = typer.Option(DEFAULT_PORT, min=0, max=65_535, help="Port of the API; 0: any free one."),
    host: str = typer.Option("127.0.0.1", help="Address of the API; 0.0.0.0 lets other machines in (with a key)."),
    processes: int = typer.Option(2, min=1, max=64, help="Files that a render worker makes at once."),
    new_key: bool = typer.Option(False, "--new-key", help="Make and print a further key, for one that was lost."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show what every part logs."),
) -> None:
    """Run the service: jobs over HTTP, workers, queue and database, on this machine, with nothing to configure."""
    from interleaf import approot

    approot.enter()
    from workers.service.part_command import environment_of, part_command

    chosen = _settings(data)
    if role is None:
        _serve_all(chosen, host, port, verbose=verbose, processes=processes, new_key=new_key)
        return
    if role is Role.api:
        options = ["--host", host, "--port", str(port), *(["--new-key"] if new_key else [])]
    else:
        options = ["--processes", str(processes)]
    command = part_command(role.value, *options)
    # The part takes this process's place: its signals, its exit code and its output are its own.
    os.execve(command[0], command, environment_of(chosen))  # noqa: S606 (our own program)


def health(
    role: Role | None = typer.Argument(None, help="The part; without it: all of them."),
    data: Path | None = DATA,
    port: int = typer.Option(DEFAULT_PORT, min=1, max=65_535, help="Port of the API."),
    host: str = typer.Option("127.0.0.1", help="Address of the API."),
) -> None:
    """Say whether a part of the service works on this machine: the API answers, a worker has shown a sign of life."""
    from interleaf import approot
    from interleaf.errors import InterleafError

    approot.enter()
    from workers.service.health import require_api, require_worker
    from workers.service.part_command import WORKERS

    chosen, workers = _settings(data), {Role(name): name for name in WORKERS}
    bad = False
    for one in Role if role is None else (role,):
        try:
            if one is Role.api:
                require_api(host, port)
            else:
                require_worker(chosen, workers[one])
            typer.echo(f"{one.value}: ok")
        except InterleafError as error:
            bad = True
            typer.echo(f"error: {error.message}", err=True)
    if bad:
        raise typer.Exit(1)


def _serve_all(chosen: Settings, host: str, port: int, *, verbose: bool, processes: int, new_key: bool) -> None:
    from workers.service.listening import listening_socket
    from workers.service.supervisor import Supervisor

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def tell(line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    with listening_socket(host, port) as listening:
        echo = (lambda role, line: tell(f"{role:>7} | {line}")) if verbose else None
        Supervisor(chosen, listening, say=say, tell=tell, echo=echo, render_processes=processes, new_key=new_key).run()


def _settings(data: Path | None) -> Settings:
    """The settings of this process, with the data folder that was chosen."""
    from workers.settings import settings

    return settings() if data is None else settings().model_copy(update={"home": data.expanduser().absolute()})
