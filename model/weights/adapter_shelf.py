"""Adapter shelf: the folder of what models were taught, one sub-folder for each adapter; finding, listing, removing."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from interleaf.errors import InterleafError, InvalidBrief, ModelBusy, ModelMissing, OutputUnwritable, shown
from model.weights.adapter_record import RECORD, AdapterRecord, read_record

__all__ = ["AdapterShelf", "ShelvedAdapter"]

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
# Held by whoever teaches into the folder (model/teaching/teaching.py).
_LOCK: Final = ".tune.lock"


@dataclass(frozen=True, slots=True)
class ShelvedAdapter:
    """An adapter of the shelf, and how many bytes its folder holds. `record` is None when it cannot be used, and
    `problem` says why."""

    name: str
    folder: Path
    nbytes: int
    record: AdapterRecord | None
    problem: str = ""


class AdapterShelf:
    """The adapters under `root`, which need not exist."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, name: str) -> Path:
        """Where the adapter of that name lies, or will. InvalidBrief when it is no name."""
        if not _NAME.fullmatch(name):
            raise InvalidBrief(
                "name",
                f"is {shown(name)!r}; an adapter's name is 1 to 64 small letters, digits, dots, hyphens or "
                "underscores, with a letter or digit at both ends.",
                "Give one with --name.",
            )
        return self.root / name

    def path(self, name: str) -> Path:
        """The folder of an adapter. ModelMissing when there is none of that name."""
        if not _NAME.fullmatch(name) or not (self.root / name).is_dir():
            names = ", ".join(adapter.name for adapter in self.list())
            problem = f"no adapter of this name ({f'there are: {names}' if names else 'there are none yet'})."
            raise ModelMissing(shown(name), problem, "Teach one: interleaf tune MODEL SET --name NAME")
        return self.root / name

    def list(self) -> list[ShelvedAdapter]:
        """Every adapter, by name; one that is not finished, or damaged, is listed with what is wrong."""
        if not self.root.is_dir():
            return []
        found = []
        for folder in sorted(self.root.iterdir()):
            if not folder.is_dir() or folder.name.startswith("."):
                continue
            record, problem = None, ""
            try:
                if (folder / RECORD).is_file():
                    record = read_record(folder)
                else:
                    problem = "not finished: the same tune command with --resume goes on"
            except InterleafError as error:
                problem = error.message
            found.append(ShelvedAdapter(folder.name, folder, _nbytes(folder), record, problem))
        return found

    def remove(self, name: str) -> int:
        """Remove an adapter, or a run of teaching that was not finished; the bytes freed. ModelMissing; ModelBusy while
        a model is being taught into it; OutputUnwritable."""
        folder = self.path(name)
        freed = _nbytes(folder)
        try:
            with FileLock(folder / _LOCK, timeout=0):
                # Renamed first: what is half removed must not be found.
                gone = self.root / f".{name}.gone"
                shutil.rmtree(gone, ignore_errors=True)
                folder.rename(gone)
            shutil.rmtree(gone)
        except Timeout as error:
            problem = "a model is being taught into it."
            raise ModelBusy(name, problem, "Wait for it to end, or stop it.") from error
        except OSError as error:
            problem = f"cannot be removed ({error.strerror or error})."
            raise OutputUnwritable(str(folder), problem, "Give yourself the right to write there.") from error
        return freed


def _nbytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
