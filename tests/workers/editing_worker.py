"""The paced worker, whose edits by a writer take as long as the file `pace` says, and are written down in `edits.log`.
Its writer `tiny` is a model that answers every wish with what is worst: orders, markup, a picture from elsewhere.

Run as `python editing_worker.py compose|render|library|beat`, with the settings in the environment.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "sdk")]

import workers.queue.edit_run as edit_run  # noqa: E402
import workers.wiring as wiring  # noqa: E402
from agents.context import Embedder, Writer  # noqa: E402
from agents.model_writer import ModelWriter  # noqa: E402
from tests.fakes import HashingEmbedder  # noqa: E402
from tests.workers import paced_worker  # noqa: E402
from tests.workers.worst_answer import WORST  # noqa: E402
from workers.queue.worker_process import main  # noqa: E402
from workers.settings import Settings  # noqa: E402


def writer_of(
    name: str,
    embedder: Embedder,
    settings: Settings,
    pixels: Callable[[str], Path],
    canceled: Callable[[], bool] = lambda: False,
    spent: Callable[[int], None] = lambda tokens: None,
) -> Writer:
    if name == "tiny":
        # torch and more, for seconds; the nursery has them imported, and where others run this program nobody asks.
        from tests.fake_engine import FakeEngine
        from workers.run.mind import EngineMind

        mind = EngineMind(
            FakeEngine(lambda request: WORST), pixels, name=name, canceled=canceled, spent=spent, linger_s=0.0
        )
        return ModelWriter(mind, embedder)
    return paced_worker.paced(name, embedder)


def hashing(chosen: Settings) -> HashingEmbedder:
    return HashingEmbedder()


_written = edit_run.written


def paced_edit(article: Any, edit: Any, *rest: Any) -> Any:
    with (paced_worker.HOME / "edits.log").open("a") as log:
        log.write(f"{os.getpid()} {edit.op}\n")
    pace = paced_worker.HOME / "pace"
    time.sleep(float(pace.read_text()) if pace.is_file() else 0.0)
    return _written(article, edit, *rest)


edit_run.written = paced_edit
edit_run.make_embedder = hashing  # type: ignore[assignment]
wiring.make_writer = writer_of

if __name__ == "__main__":
    if sys.argv[1] == "library":
        paced_worker.pace_ingests()
    main(sys.argv[1], 2)  # type: ignore[arg-type]
