"""A worker process as it is in service, except that its embedder needs no weights, and that each section takes as long
as the file `pace` in the data folder says: seconds of the first, of the second, and so on; the last number is for all
that follow. It writes down every section that it began: `begun.log`.

Run as `python paced_worker.py compose|render|library|beat`, with the settings in the environment.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "sdk")]

# What the first job of a worker imports. On a busy machine that takes longer than the short leases of tests, and the
# interpreter is held meanwhile, so that no heartbeat comes through: here it is done before there is a job.
import workers.queue.job_run  # noqa: E402, F401
import workers.wiring as wiring  # noqa: E402
from agents.context import DraftTask, Embedder, Writer  # noqa: E402
from agents.extractive import ExtractiveWriter  # noqa: E402
from interleaf.schema import TextBlock  # noqa: E402
from retrieval.pictures.prepared import prepare  # noqa: E402
from tests.fakes import HashingEmbedder  # noqa: E402
from workers.queue.worker_process import main  # noqa: E402
from workers.settings import Settings, settings  # noqa: E402

HOME = settings().home


class PacedWriter(ExtractiveWriter):
    def draft(self, task: DraftTask) -> tuple[TextBlock, ...]:
        with (HOME / "begun.log").open("a") as log:
            log.write(f"{os.getpid()} {task.section_index} {task.brief.title}\n")
        pace = HOME / "pace"
        seconds = pace.read_text().split() if pace.is_file() else ["0"]
        time.sleep(float(seconds[min(task.section_index, len(seconds) - 1)]))
        return super().draft(task)


def paced(name: str, embedder: Embedder, *rest: object) -> Writer:
    return PacedWriter(embedder)


def hashing(chosen: Settings) -> HashingEmbedder:
    return HashingEmbedder()


wiring.make_writer = paced  # type: ignore[assignment]
wiring.make_embedder = hashing  # type: ignore[assignment]


def prepare_paced(*args: Any) -> Any:
    pace = HOME / "pace"
    time.sleep(float(pace.read_text()) if pace.is_file() else 0.0)
    return prepare(*args)


def pace_ingests() -> None:
    """Of library workers: each picture takes as long as the pace says."""
    import retrieval.pictures.ingest as ingest
    import workers.library.open_libraries as open_libraries
    import workers.queue.library_work  # noqa: F401 (as above: before there is a job)

    ingest.prepare = prepare_paced
    open_libraries.make_embedder = hashing  # type: ignore[assignment]


if __name__ == "__main__":
    if sys.argv[1] == "library":
        pace_ingests()
    main(sys.argv[1], 2)  # type: ignore[arg-type]
