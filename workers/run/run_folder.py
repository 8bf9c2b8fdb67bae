"""Run folder: everything that one run needs to go on after a crash, in one place on disk.

runs/<run id>/
    brief.json        the brief as accepted
    material.json     the sources as read, the candidates, notices (written last: its presence means "read")
    library/          pictures handed over with the brief
    kept/             pictures of a library that the piece shows or might show (kept_pictures.py)
    versions/         what edits made of the piece in this folder (run_versions.py)
    checkpoints.db    LangGraph's checkpoints
    article.json      the finished piece
    lock              held by the process that works on the run
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from interleaf.errors import InvalidBrief, OutputUnwritable, RunBusy, RunUnknown
from interleaf.schema import Brief
from interleaf.text import fold_space

__all__ = ["RunFolder", "list_runs"]

_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,63}")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @classmethod
    def at(cls, runs_dir: Path, run_id: str) -> RunFolder:
        """The folder of that id, existing or not. InvalidBrief when the id could leave `runs_dir`."""
        if not _RUN_ID.fullmatch(run_id):
            raise InvalidBrief(
                "run id", f"{run_id!r} is not a run id.", "Use 3 to 64 of a-z, 0-9 and hyphens, starting with a letter."
            )
        return cls(runs_dir / run_id)

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def brief_path(self) -> Path:
        return self.path / "brief.json"

    @property
    def material_path(self) -> Path:
        return self.path / "material.json"

    @property
    def library_dir(self) -> Path:
        return self.path / "library"

    @property
    def kept_dir(self) -> Path:
        return self.path / "kept"

    @property
    def checkpoints_path(self) -> Path:
        return self.path / "checkpoints.db"

    @property
    def article_path(self) -> Path:
        return self.path / "article.json"

    @property
    def exists(self) -> bool:
        return self.brief_path.is_file()

    def require(self) -> None:
        """RunUnknown when no such run was begun."""
        if not self.exists:
            raise RunUnknown(
                self.run_id, f"there is no such run in {self.path.parent}.", "List them with: interleaf runs"
            )

    def create(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputUnwritable(
                str(self.path.parent),
                f"cannot be written ({error.strerror}).",
                "Set INTERLEAF_HOME to a folder that you may write to.",
            ) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run's lock. RunBusy when another process works on it."""
        lock = FileLock(self.path / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunBusy(self.run_id, "another process works on this run.", "Wait until it ends.") from error
        try:
            yield
        finally:
            lock.release()


def list_runs(runs_dir: Path) -> list[dict[str, str]]:
    """Every run of the folder by id, with its state (`finished`, `waiting`, `failed`, `unfinished`) and its order."""
    rows = []
    for path in sorted(runs_dir.glob("*/brief.json")):
        brief = Brief.model_validate_json(path.read_bytes())
        rows.append(
            {
                "run_id": path.parent.name,
                "state": _state_of(path.parent),
                "instruction": fold_space(brief.instruction)[:80],
            }
        )
    return rows


def _state_of(folder: Path) -> str:
    if (folder / "article.json").is_file():
        return "finished"
    log = folder / "events.jsonl"
    if not log.is_file():
        return "unfinished"
    for line in reversed(log.read_text(encoding="utf-8").splitlines()):
        try:
            kind = json.loads(line)["kind"]
        except (json.JSONDecodeError, KeyError):
            continue  # the half line of a killed writer
        return {"needs_input": "waiting", "failed": "failed"}.get(kind, "unfinished")
    return "unfinished"
