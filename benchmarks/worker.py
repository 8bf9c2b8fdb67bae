"""Benchmark: what a job costs that does nothing, through our worker, against a bare Celery task with the same writes.

And whether ten thousand queued jobs cost memory.

    python -m benchmarks.worker [--database sqlite|postgres] [--rounds 10] [--jobs 40]
    python -m benchmarks.worker --queued 10000

Two workers (Celery, solo pool, the same options, one Redis) run all the time, each over a database of its own of the
same kind; rounds of `--jobs` messages go to one and to the other in turn. Timed is what the databases say: from the
first start of a round to its last end, by the jobs of the round. Per job both write the same rows: the job (running,
then succeeded, with stage and result), the events (started, those of nine stages, document, file, succeeded), the
document and its first version, the record of its file, and the file itself (JSON, synced, renamed). Bare writes them
with plain statements in two transactions, claim and end. Ours goes the whole way: claim by lease, run folder, lease
keeper, events as the run tells them, fences, quotas of attempts. The composing itself is left out in both: nine stages
begin and end.

Leans against us: bare checks nothing and could not be stopped or taken over. Leans in ours: nothing that we know of.
Goal: at most 1.5 times bare.

`--queued N`: N jobs are ordered, listed page by page and drained by one worker; the memory of the process that lists
and of the worker is read before and after, and its slope over the second half is printed in bytes a job. Goal: none.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from celery import Celery
from sqlalchemy import create_engine, event, func, insert, select, update

from api.app import prepare
from benchmarks.service import databases
from interleaf.schema import Article, Event, Paragraph, Provenance, Report, Run
from workers.queue.celery_app import make_app
from workers.queue.dispatch import Dispatcher
from workers.queue.redis_server import RedisServer
from workers.settings import Settings, environment_with, settings
from workers.store.ids import new_id
from workers.store.job_query import JobQuery
from workers.store.job_store import JobStore
from workers.store.tables import (
    ApiKeyRow,
    ArtifactRow,
    DocumentFileRow,
    DocumentRow,
    DocumentVersionRow,
    JobEventRow,
    JobRow,
)

ROOT: Final = Path(__file__).resolve().parent.parent
GOAL_RATIO: Final = 1.5
STAGES: Final = ("read", "plan", "draft", "spot", "caption", "retrieve", "choose", "review", "assemble")
BARE_TASK: Final = "bare.compose"
ARTICLE: Final = Article(
    title="Tides",
    language="en",
    blocks=tuple(
        Paragraph(id=f"b-{number}", text=("The sea rises. " * 20).strip(), provenance=Provenance(origin="workflow"))
        for number in range(20)
    ),
    pictures=(),
    sources=(),
    report=Report(),
    run=Run(
        interleaf_version="0",
        writer="w",
        writer_version="0",
        encoder="e",
        encoder_sha256="",
        seed=0,
        brief_sha256="0" * 64,
    ),
)


# The workers


class Nothing:
    """Stands for composing: nine stages begin and end, and there is an article."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.question = None
        self.article: Article | None = None

    def stream(self, *_: Any, **__: Any) -> Iterator[Event]:
        number = 1
        yield Event(id=number, run_id="nothing", kind="run_started")
        for stage in STAGES:
            for kind in ("stage_started", "stage_finished"):
                number += 1
                yield Event(id=number, run_id="nothing", kind=kind, stage=stage)  # type: ignore[arg-type]
        self.article = ARTICLE


def work_ours() -> None:
    """Our compose worker, with nothing to compose."""
    from workers.queue import job_run
    from workers.queue.worker_process import main as run_worker

    job_run.Composing = Nothing  # type: ignore[misc, assignment]
    run_worker("compose", loglevel="WARNING")


def work_bare(url: str, folder: str) -> None:
    """A Celery worker whose task writes what ours writes, with plain statements."""
    app = bare_app(settings())
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def prepare_sqlite(connection: Any, _record: object) -> None:
            for pragma in ("busy_timeout = 30000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                connection.execute(f"PRAGMA {pragma}")

    jobs, events = JobRow.__table__, JobEventRow.__table__

    @app.task(name=BARE_TASK)  # type: ignore[untyped-decorator]
    def compose(job_id: str) -> None:
        now = datetime.now(UTC)
        with engine.begin() as connection:
            owner = connection.execute(
                update(jobs)
                .where(jobs.c.id == job_id, jobs.c.state == "queued")
                .values(state="running", started_at=now, attempt=1, event_count=2, lease_owner="bare", lease_until=now)
                .returning(jobs.c.owner)
            ).scalar_one()
            connection.execute(
                insert(events), {"job_id": job_id, "id": 2, "name": "job.started", "at": now, "data": {"attempt": 1}}
            )
        names = ["run.started"]
        names += [f"stage.{what}" for _ in STAGES for what in ("started", "completed")]
        names += ["document.ready", "artifact.ready", "stage.started", "job.succeeded"]
        content = (ARTICLE.model_dump_json(indent=1) + "\n").encode()
        sha256 = hashlib.sha256(content).hexdigest()
        path = Path(folder, job_id, sha256)
        path.parent.mkdir()
        aside = path.with_suffix(".part")
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
        now = datetime.now(UTC)
        document_id, artifact_id = new_id("doc", now), new_id("art", now)
        written = ARTICLE.model_dump(mode="json")
        with engine.begin() as connection:
            connection.execute(
                insert(events),
                [
                    {"job_id": job_id, "id": number, "name": name, "at": now, "data": {"attempt": 1}}
                    for number, name in enumerate(names, 3)
                ],
            )
            common = {"owner": owner, "job_id": job_id, "created_at": now}
            connection.execute(
                insert(DocumentRow), {"id": document_id, "title": "Tides", "version": 1, "article": written, **common}
            )
            connection.execute(
                insert(DocumentVersionRow),
                {"document_id": document_id, "version": 1, "article": written, "created_at": now},
            )
            connection.execute(
                insert(ArtifactRow),
                {
                    "id": artifact_id,
                    "version": 1,
                    "document_id": document_id,
                    "format": "json",
                    "media_type": "application/json",
                    "bytes": len(content),
                    "sha256": sha256,
                    "file_key": f"jobs/{job_id}/{sha256}",
                    **common,
                },
            )
            connection.execute(
                insert(DocumentFileRow),
                {"document_id": document_id, "version": 1, "format": "json", "artifact_id": artifact_id},
            )
            connection.execute(
                update(jobs)
                .where(jobs.c.id == job_id)
                .values(
                    state="succeeded",
                    finished_at=datetime.now(UTC),
                    stage="render",
                    event_count=len(names) + 2,
                    lease_owner=None,
                    lease_until=None,
                    result={"document_id": document_id, "artifacts": [artifact_id]},
                )
            )

    app.start(["worker", "--loglevel", "WARNING", "--pool", "solo", "--queues", "bare", "--without-gossip",
               "--without-mingle", "--without-heartbeat", "--hostname", "bare-%h"])  # fmt: skip


def bare_app(chosen: Settings) -> Celery:
    """A Celery app with our options and a queue of its own."""
    from kombu.entity import Exchange, Queue

    app = make_app(chosen)
    app.conf.update(imports=[], task_queues=[Queue("bare", Exchange("bare"), routing_key="bare")])
    app.conf.update(task_default_queue="bare", task_routes={BARE_TASK: {"queue": "bare"}})
    return app


# The comparison


@contextmanager
def started(arguments: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", *arguments],
            cwd=ROOT,
            env=environment_with(env, python_path=[str(ROOT), str(ROOT / "sdk")]),
            stdout=out,
            stderr=out,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        said = log.read_text(errors="replace")
        if "ERROR" in said or "Traceback" in said:
            print(f"--- {log.name}:\n{said[-3000:]}", file=sys.stderr)


class Side:
    """A database with its jobs, and how a message is sent for one."""

    def __init__(self, name: str, chosen: Settings) -> None:
        self.name = name
        self.store = JobStore(chosen)
        prepare(self.store.database)
        with self.store.database.reading() as session:
            self.owner = session.scalars(select(ApiKeyRow.id)).one()
        self._app = bare_app(chosen) if name == "bare" else make_app(chosen)
        self._dispatcher = Dispatcher(self._app, self.store)

    def order(self, count: int) -> list[str]:
        """So many jobs, none of them sent."""
        brief = {"instruction": "Nothing.", "sources": [{"text": "Nothing at all."}], "formats": ["json"]}
        return [self.store.jobs.create(self.owner, "article", brief).id for _ in range(count)]

    def send(self, ids: list[str]) -> None:
        for job_id in ids:
            if self.name == "bare":
                self._app.send_task(BARE_TASK, args=[job_id], queue="bare")
            else:
                self._dispatcher.deliver(job_id)

    def round_ms(self, count: int) -> float:
        """Milliseconds a job of a round."""
        ids = self.order(count)
        self.send(ids)
        deadline = time.monotonic() + 120
        wanted = select(func.count(), func.min(JobRow.started_at), func.max(JobRow.finished_at)).where(
            JobRow.id.in_(ids), JobRow.state == "succeeded"
        )
        while True:
            with self.store.database.reading() as session:
                done, first, last = session.execute(wanted).one()
            if done == count:
                return float((last - first).total_seconds() * 1e3 / count)
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.name}: {done} of {count} jobs ended")
            time.sleep(0.05)


def compared(options: argparse.Namespace, folder: Path) -> None:
    with ExitStack() as stack:
        urls = stack.enter_context(databases(options.database, folder))
        broker = stack.enter_context(RedisServer(folder / "redis", tied=True))
        (folder / "bare-files").mkdir()
        sides = []
        for name in ("bare", "ours"):
            chosen = Settings(home=folder / name, database_url=urls[name], redis_url=broker.url, upkeep_s=600)
            side = Side(name, chosen)
            stack.callback(side.store.close)
            sides.append(side)
            env = {
                "INTERLEAF_HOME": str(folder / name),
                "INTERLEAF_DATABASE_URL": urls[name],
                "INTERLEAF_REDIS_URL": broker.url,
            }
            arguments = [name, urls[name], str(folder / "bare-files")] if name == "bare" else [name]
            stack.enter_context(started(arguments, env, folder / f"{name}.log"))
            side.round_ms(5)
        measured: dict[str, list[float]] = {"bare": [], "ours": []}
        for number in range(options.rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                measured[side.name].append(side.round_ms(options.jobs))
        ratio = statistics.median(o / b for b, o in zip(measured["bare"], measured["ours"], strict=True))
        mark = "" if ratio <= GOAL_RATIO else " (missed)"
        print(f"| {options.database} | bare ms a job | ours ms a job | ratio |\n|---|---|---|---|")
        middle = {name: statistics.median(values) for name, values in measured.items()}
        print(f"| {options.rounds} rounds of {options.jobs} | {middle['bare']:.1f} | {middle['ours']:.1f} | "
              f"{ratio:.2f}{mark} |")  # fmt: skip


# Ten thousand jobs


def resident_mib(pid: int) -> float:
    """Memory of a process that lies in the machine's, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def queued(options: argparse.Namespace, folder: Path) -> None:
    count = options.queued
    with ExitStack() as stack:
        urls = stack.enter_context(databases(options.database, folder))
        broker = stack.enter_context(RedisServer(folder / "redis", tied=True))
        chosen = Settings(home=folder / "ours", database_url=urls["ours"], redis_url=broker.url)
        side = Side("ours", chosen)
        stack.callback(side.store.close)
        begun = time.perf_counter()
        for _ in range(count // 100):
            side.store.database.together(lambda: side.order(100), side.owner)
        print(f"{count} jobs ordered in {time.perf_counter() - begun:.1f} s")

        def listed() -> int:
            seen, after = 0, None
            while True:
                page = side.store.jobs.list(side.owner, JobQuery(limit=100, after=after))
                seen += len(page.jobs)
                if not page.has_more:
                    return seen
                after = page.last_id

        assert listed() == count  # once beforehand: what is loaded once is no growth
        before, begun = resident_mib(os.getpid()), time.perf_counter()
        for _ in range(5):
            assert listed() == count
        seconds, after = (time.perf_counter() - begun) / 5, resident_mib(os.getpid())
        print(f"listed by 100: {seconds:.2f} s, {1e3 * seconds / (count / 100):.1f} ms a page; five times: "
              f"{before:.1f} -> {after:.1f} MiB")  # fmt: skip
        env = {
            "INTERLEAF_HOME": str(folder / "ours"),
            "INTERLEAF_DATABASE_URL": urls["ours"],
            "INTERLEAF_REDIS_URL": broker.url,
        }
        worker = stack.enter_context(started(["ours"], env, folder / "ours.log"))
        dispatcher = Dispatcher(make_app(chosen), side.store)
        sent = dispatcher.send_waiting()
        points: list[tuple[int, float]] = []
        begun = time.perf_counter()
        done = 0
        while done < count:
            done = side.store.jobs.count(["succeeded"])
            points.append((done, resident_mib(worker.pid)))
            if time.perf_counter() - begun > options.limit_s:
                print(f"stopped after {options.limit_s} s")
                break
            time.sleep(0.5)
        took = time.perf_counter() - begun
        half = [(x, y) for x, y in points if x >= done / 2]
        slope = statistics.linear_regression([x for x, _ in half], [y for _, y in half]).slope if len(half) > 2 else 0.0
        first = next(y for x, y in points if x >= done / 10)
        print(f"{sent} messages; {done} drained in {took:.0f} s ({1e3 * took / done:.1f} ms a job); worker "
              f"{first:.1f} MiB after a tenth, {points[-1][1]:.1f} MiB at the end; second half {slope * 2**20:.0f} "
              f"bytes a job")  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["ours"]:
        work_ours()
        return
    if sys.argv[1:2] == ["bare"]:
        work_bare(*sys.argv[2:4])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--queued", type=int, help="instead: so many jobs listed and drained")
    parser.add_argument("--limit-s", type=float, default=1800.0, help="stop draining then")
    parser.add_argument("--folder", type=Path, help="where the databases lie, on the disk that is to be measured")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, celery {version('celery')}, load {os.getloadavg()[0]:.1f} on "
          f"{os.cpu_count()} cores")  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="interleaf-bench-", dir=options.folder))
    try:
        (queued if options.queued else compared)(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
