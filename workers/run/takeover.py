"""Takeover: a run folder is taken from a process that lost its lease and hangs, so that another can go on at once.

The one that hangs keeps what it has open: its lock and its checkpoints lie in a folder that has no name any more.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from interleaf.errors import OutputUnwritable
from workers.run.run_folder import RunFolder

__all__ = ["aside_of", "take_over"]

COPY_TIMEOUT_S = 30


def aside_of(runs_dir: Path) -> Path:
    """Where folders lie while they are taken over; what lies there longer was left by a process that was killed."""
    return runs_dir.parent / "runs-aside"


def take_over(folder: RunFolder) -> None:
    """Put a copy in the folder's place: what was read, and every checkpoint that was committed.

    Only who holds the job's lease may do this. OutputUnwritable when the disk does not take the copy; the folder is
    then as it was. A crash in the middle may lose the folder: the job then begins anew.
    """
    mark = secrets.token_hex(8)
    aside = aside_of(folder.path.parent)
    copy, old = aside / f"{folder.run_id}-{mark}-new", aside / f"{folder.run_id}-{mark}-old"
    try:
        try:
            aside.mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder.path, copy, ignore=shutil.ignore_patterns("lock", "checkpoints.db*"))
            if folder.checkpoints_path.is_file():
                _copy_checkpoints(folder.checkpoints_path, copy / folder.checkpoints_path.name)
            folder.path.rename(old)
            copy.rename(folder.path)
        finally:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
    except (OSError, sqlite3.Error) as error:
        raise OutputUnwritable(
            str(folder.path), f"cannot be taken over ({error}).", "Look after the disk, then retry the job."
        ) from error


def _copy_checkpoints(source: Path, target: Path) -> None:
    # In WAL mode readers do not wait for a writer, not even for one that was stopped inside its transaction.
    with (
        closing(sqlite3.connect(source, timeout=COPY_TIMEOUT_S)) as there,
        closing(sqlite3.connect(target)) as here,
    ):
        there.backup(here)
