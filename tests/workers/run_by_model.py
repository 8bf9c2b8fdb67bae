"""A run through ModelWriter in a process of its own, slow enough to be killed while its sections are being drafted.

Usage: run_by_model.py HOME   (a line in HOME/asked.log for each section asked for, one in HOME/events.log per event)
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agents.model_writer import ModelWriter
from interleaf.schema import Brief
from model.inference.engine import Piece, Request
from tests.fake_engine import FakeEngine
from tests.fakes import HashingEmbedder
from workers.composing import Composing
from workers.run.mind import EngineMind
from workers.run.run_folder import RunFolder
from workers.settings import Settings

HEADINGS = ("Bees", "Tides", "Locks", "Kites", "Salt", "Glass")
BRIEF = Brief(instruction="Write about six things.", pictures_wanted=0, writer="slow")


def words_of(request: Request) -> str:
    return "".join(part for turn in request.turns for part in turn.parts if isinstance(part, str))


def section_of(request: Request) -> int | None:
    found = re.search(r"Now write only section (\d+)", words_of(request))
    return int(found.group(1)) - 1 if found else None


def answer(request: Request) -> str:
    section = section_of(request)
    if section is None:
        return json.dumps({"title": "Six things", "sections": [{"heading": h, "points": []} for h in HEADINGS]})
    # The first sections are short: they end, and are kept, while the last are still being written.
    return f"{HEADINGS[section]} have a story of their own. " + "It goes on and on. " * (section * 2)


class Slow(FakeEngine):
    """Writes down which sections it is asked for, and takes its time."""

    def __init__(self, home: Path) -> None:
        super().__init__(answer, context_length=40_000)
        self._home = home

    def generate(self, requests: Sequence[Request], canceled: Callable[[], bool] = lambda: False) -> Iterator[Piece]:
        with (self._home / "asked.log").open("a", encoding="utf-8") as log:
            for request in requests:
                if (section := section_of(request)) is not None:
                    log.write(f"{section} of {len(requests)}\n")
        for piece in super().generate(requests, canceled):
            time.sleep(0.002)
            yield piece


def main(home: Path) -> None:
    mind = EngineMind(Slow(home), lambda picture_id: home / picture_id, name="slow")
    settings = Settings(home=home)
    folder = RunFolder.at(settings.runs_dir, "r-by-model")
    composing = Composing(folder, settings, writer=ModelWriter(mind, HashingEmbedder()))
    for event in composing.stream(None if folder.exists else BRIEF):
        with (home / "events.log").open("a", encoding="utf-8") as log:
            log.write(f"{event.kind} {event.stage} {event.message}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
