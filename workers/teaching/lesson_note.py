"""Lesson note: says of a set that its pictures are only looked at, as a writer will look at them, so that nobody who
teaches it has to know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from interleaf.whole_file import write_whole
from model.json_file import read_object

__all__ = ["NOTE", "is_glanced", "write_note"]

NOTE: Final = "lessons.json"


def write_note(data: Path) -> None:
    """Say it of the set `data`, in a file beside it. OutputUnwritable."""
    said = {"set": data.name, "pictures": "glanced at"}
    write_whole(data.parent / NOTE, (json.dumps(said, indent=1) + "\n").encode())


def is_glanced(data: Path) -> bool:
    """Whether it is said of the set `data`. CheckpointInvalid when what is said cannot be read."""
    note = data.parent / NOTE
    return note.is_file() and read_object(note) == {"set": data.name, "pictures": "glanced at"}
