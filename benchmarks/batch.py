"""Benchmark: a batch of 200 pieces drained by real workers: seconds an item beside a bare job, memory of each process.

    python -m benchmarks.batch [--items 200] [--bare 20] [--words 150]

A service of real processes (`interleaf serve`: API, workers, queue, beat, SQLite) makes the same small illustrated
pieces of the demo's notes (values filled in, so no two are the same): `--bare` of them as jobs that are ordered one by
one and sent at once, then the batch, then as many bare jobs again. Timed is what the service says of the jobs: from the
first start to the last end, by the number of jobs. So what a batch adds is seen: rounds that order its jobs as there is
room, and the look at its end.

Memory is what each process holds of its own (RSS without mapped files), read when 20, 100 and 200 items have ended, and
its slope over the second half of the batch, in KiB an item; goal: none, while nothing but the count of items rises. At
the end every item must be in a final state, the results must be as many complete lines, and the batch must have told
its end.

Leans against us: nothing that we know of. Leans in ours: the bare jobs go through the same service; beside nothing at
all, see worker.py.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.served import ROOT, Served, served
from interleaf import Client
from interleaf.service.batch_records import BatchRecord

TIDES: Final = ROOT / "examples/tides"
GOAL_RATIO: Final = 1.1
GOAL_KIB: Final = 32.0
POINTS: Final = (20, 100, 200)
LIMIT_S: Final = 3_600.0
FAILED: Final = ("failed", "expired", "canceled", "refused", "deleted", "incomplete")


class Memory:
    """Of each process, how much it held when so many items had ended; read until told to stop."""

    def __init__(self, service: Served) -> None:
        self._service = service
        self._done = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.points: list[tuple[int, dict[str, float]]] = []

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def so_far(self, done: int) -> None:
        self._done = done

    def at(self, done: int) -> dict[str, float]:
        """When so many had ended, or a few more."""
        return next((held for count, held in self.points if count >= done), self.points[-1][1])

    def slope_kib(self, name: str, items: int) -> float:
        """Of a process over the second half, in KiB an item."""
        half = [(n, held[name]) for n, held in self.points if n >= items / 2 and name in held]
        if len({n for n, _ in half}) < 3:
            return 0.0
        return 1024 * statistics.linear_regression([n for n, _ in half], [mib for _, mib in half]).slope

    def _read(self) -> None:
        while not self._ending.wait(1.0):
            self.points.append((self._done, self._service.own_mib()))


def fields(words: int) -> dict[str, Any]:
    """The brief of an item. Its notes are two of the demo's, two of its pictures go with them."""
    notes = [TIDES / "notes" / name for name in ("01-what-pulls-the-sea.md", "02-springs-and-neaps.md")]
    pictures = [TIDES / "pictures" / name for name in ("tide-raising-force.png", "month-of-tides.png")]
    return {
        "instruction": "What pulls the sea, for the people of {{ harbour }}",
        "title": "The tide at {{ harbour }}",
        "sources": [{"path": str(path)} for path in notes],
        "pictures": [{"path": str(path)} for path in pictures],
        "length_words": words,
        "formats": ["html", "md"],
    }


def bare(client: Client, brief: dict[str, Any], count: int) -> float:
    """Seconds a job of so many that are ordered by themselves."""
    jobs = []
    for number in range(count):
        harbour = f"Port {number}"
        one = {name: value.replace("{{ harbour }}", harbour) for name, value in brief.items() if isinstance(value, str)}
        jobs.append(client.jobs.create(brief | one))
    for job in jobs:
        if job.wait(LIMIT_S).state != "succeeded":
            raise SystemExit(f"{job.id}: {job.state} {job.record.error}")
    started = [job.record.started_at for job in jobs]
    return seconds_each([at for at in started if at], [at for job in jobs if (at := job.record.finished_at)])


def seconds_each(started: Sequence[datetime], ended: Sequence[datetime]) -> float:
    return (max(ended) - min(started)).total_seconds() / len(ended)


def drained(client: Client, brief: dict[str, Any], items: int, memory: Memory) -> tuple[BatchRecord, float]:
    """The batch when it has told its end, and seconds an item."""
    begun = time.monotonic()
    batch = client.batches.create(
        brief, {f"h{number}": {"harbour": f"Harbour {number}"} for number in range(items)}, name="benchmark"
    )
    while batch.ended_at is None:
        time.sleep(1.0)
        batch = client.batches.get(batch)
        memory.so_far(sum(batch.counts.get(state, 0) for state in ("succeeded", *FAILED)))
        if time.monotonic() > begun + LIMIT_S:
            raise SystemExit(f"after {LIMIT_S:.0f} s: {batch.counts}")
    if batch.counts != {"succeeded": items}:
        raise SystemExit(f"the batch ended as {batch.counts}")
    results = list(client.batches.results(batch))
    whole = [one for one in results if one.document_id and len(one.artifacts) == 3 and one.report and one.score]
    if len({one.document_id for one in whole}) != items:
        raise SystemExit(f"{len(whole)} of {items} results are complete")
    jobs = [job.record for job in client.jobs.each(metadata={"batch": batch.id})]
    if len(jobs) != items:
        raise SystemExit(f"{items} items made {len(jobs)} jobs")
    return batch, seconds_each(
        [job.started_at for job in jobs if job.started_at], [job.finished_at for job in jobs if job.finished_at]
    )


def told(memory: Memory, items: int) -> None:
    points = [point for point in POINTS if point < items] + [items]
    print("| process | " + " | ".join(f"MiB at {point}" for point in points) + " | KiB an item, second half |")
    print("|---" * (len(points) + 2) + "|")
    for name in memory.points[-1][1]:
        held = " | ".join(f"{memory.at(point).get(name, 0.0):.1f}" for point in points)
        slope = memory.slope_kib(name, items)
        print(f"| {name} | {held} | {slope:.1f}{'' if slope <= GOAL_KIB else ' **grows**'} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--bare", type=int, default=20, help="jobs by themselves, before and after")
    parser.add_argument("--words", type=int, default=150, help="of each piece")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    folder = Path(tempfile.mkdtemp(prefix="interleaf-bench-batch-"))
    try:
        with served(folder / "home") as service, service.client() as client, Memory(service) as memory:
            brief = fields(options.words)
            bare(client, brief, 2)  # the first one loads what all others find
            before = bare(client, brief, options.bare)
            memory.points.clear()
            _, each = drained(client, brief, options.items, memory)
            after = bare(client, brief, options.bare)
            alone = statistics.mean((before, after))
            ratio = each / alone
            print(
                f"{options.items} items: {each:.2f} s an item; bare {before:.2f} s a job before, {after:.2f} s after; "
                f"ratio {ratio:.2f} (goal {GOAL_RATIO}: {'met' if ratio <= GOAL_RATIO else 'missed'})"
            )
        told(memory, options.items)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
