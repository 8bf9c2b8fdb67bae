"""Database: transactions join and roll back whole, several processes share one, foreign errors come as ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from interleaf.errors import DatabaseUnusable, InterleafError, OutputUnwritable, ServiceAway, SettingInvalid
from tests.workers.job_store import BRIEF, ROOT, Store, assert_whole, new_key
from workers.store import database
from workers.store.database import Database
from workers.store.new_rows import insert_new
from workers.store.tables import ApiKeyRow, JobRow, WorkerBeatRow


def beat_values(name: str, at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> dict[str, Any]:
    return {"worker_id": name, "kind": "compose", "queue": "compose", "started_at": at, "seen_at": at}


def beats(database: Database) -> list[str]:
    with database.reading() as session:
        return sorted(session.scalars(select(WorkerBeatRow.worker_id)))


def test_a_block_that_raises_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.database.transaction() as session:
        session.add(WorkerBeatRow(**beat_values("a")))
        session.flush()
        raise RuntimeError
    assert beats(store.database) == []


def test_methods_inside_one_transaction_happen_wholly_or_not_at_all(store: Store) -> None:
    owner = store.owner
    with pytest.raises(RuntimeError), store.database.transaction():
        kept = store.create()
        assert store.jobs.get(kept.id, owner) == kept
        raise RuntimeError
    assert store.jobs.list(owner).jobs == ()


def test_an_inner_transaction_that_fails_takes_only_itself_back(store: Store) -> None:
    with store.database.transaction() as session:
        session.add(WorkerBeatRow(**beat_values("outer")))
        with pytest.raises(RuntimeError), store.database.transaction() as inner:
            assert inner is session
            inner.add(WorkerBeatRow(**beat_values("inner")))
            raise RuntimeError
    assert beats(store.database) == ["outer"]


def test_a_thread_does_not_join_the_transaction_of_another(store: Store) -> None:
    with store.database.transaction() as session, ThreadPoolExecutor(1) as pool:
        session.add(WorkerBeatRow(**beat_values("a")))
        session.flush()
        assert pool.submit(beats, store.database).result() == []


def test_times_come_back_in_utc_and_order_alike_in_both_databases(store: Store) -> None:
    start = datetime(2026, 1, 1, 23, 59, 59, 999999, tzinfo=UTC)
    times = [start, start + timedelta(microseconds=1), start + timedelta(hours=1), start + timedelta(days=300)]
    with store.database.transaction() as session:
        for number, at in enumerate(times):
            away = at.astimezone(timezone(timedelta(hours=9 - 5 * number)))
            session.add(WorkerBeatRow(**beat_values(f"w{number}", away)))
    with store.database.reading() as session:
        found = session.scalars(select(WorkerBeatRow.seen_at).order_by(WorkerBeatRow.seen_at)).all()
        assert found == times
        assert {at.utcoffset() for at in found} == {timedelta()}
        later = select(WorkerBeatRow.worker_id).where(WorkerBeatRow.seen_at > start)
        assert sorted(session.scalars(later)) == ["w1", "w2", "w3"]


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(DatabaseUnusable, match="time zone"), store.database.transaction() as session:
        session.add(WorkerBeatRow(**beat_values("a", datetime(2026, 1, 1))))


def test_of_several_that_insert_the_same_one_succeeds(store: Store) -> None:
    def insert(_: int) -> bool:
        with store.database.transaction() as session:
            return insert_new(session, WorkerBeatRow, **beat_values("same")) is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(insert, range(24))) == 1


def test_threads_that_add_lose_nothing(store: Store) -> None:
    store.database.upgrade()
    with store.database.transaction() as session:
        session.add(ApiKeyRow(**key_values(max_active_jobs=0)))

    def add(_: int) -> None:
        with store.database.transaction() as session:
            row = session.scalars(select(ApiKeyRow).with_for_update()).one()
            row.max_active_jobs = (row.max_active_jobs or 0) + 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(80)))
    with store.database.reading() as session:
        assert session.scalars(select(ApiKeyRow.max_active_jobs)).one() == 80


def key_values(**fields: Any) -> dict[str, Any]:
    made = {"id": "key_" + "0" * 26, "prefix": "p", "secret_sha256": b"s" * 32, "name": "n", "scopes": []}
    return made | {"created_at": datetime(2026, 1, 1, tzinfo=UTC)} | fields


def test_what_breaks_a_rule_of_the_tables_is_refused_without_repeating_it(store: Store) -> None:
    with pytest.raises(DatabaseUnusable, match="refused") as caught, store.database.transaction() as session:
        session.add(WorkerBeatRow(**beat_values("a") | {"queue": None}))
    assert "compose" not in caught.value.message
    job = store.create()
    with pytest.raises(DatabaseUnusable, match="refused"), store.database.transaction() as session:
        session.execute(text("UPDATE jobs SET state = 'lost' WHERE id = :id"), {"id": job.id})
    with pytest.raises(DatabaseUnusable, match="refused"), store.database.transaction() as session:
        session.execute(text("UPDATE jobs SET state = 'running' WHERE id = :id"), {"id": job.id})
    with pytest.raises(DatabaseUnusable, match="refused"):
        store.jobs.create("key_" + "0" * 26, "article", BRIEF)


def test_numbers_that_are_not_json_are_refused(store: Store) -> None:
    with pytest.raises(DatabaseUnusable, match="refused"):
        store.jobs.create(store.owner, "article", {"share": float("nan")})
    assert store.jobs.list(store.owner).jobs == ()


def test_text_that_no_person_typed_is_kept_as_it_is(store: Store) -> None:
    brief = {"nul": "\x00", "half": "\ud83d", "deep": [{"ü": None}], "long": "x" * 1_000_000}
    job = store.jobs.create(store.owner, "article", brief)
    assert store.jobs.brief(job.id, store.owner) == brief


def test_without_a_schema_the_remedy_is_told(empty_url: str) -> None:
    database = Database(empty_url)
    database.ping()
    with pytest.raises(DatabaseUnusable, match="schema"):
        database.require_schema()
    with pytest.raises(DatabaseUnusable):
        beats(database)
    database.close()


@pytest.mark.parametrize(
    "url",
    ["", "no url", "mysql://u:geheim@h/n", "sqlite://", "sqlite:///:memory:", "sqlite:///x?mode=ro", "oracle://geheim"],
)
def test_a_url_that_is_none_of_ours_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingInvalid, match="INTERLEAF_DATABASE_URL") as caught:
        Database(url)
    assert "geheim" not in caught.value.message


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable, match="file"):
        Database(f"sqlite:///{tmp_path / 'file' / 'jobs.sqlite'}")


def test_a_server_that_is_not_there_is_away_and_its_password_is_not_told(tmp_path: Path) -> None:
    database = Database(f"postgresql://somebody:geheim@/jobs?host={tmp_path}")
    for ask in (database.ping, database.upgrade):
        with pytest.raises(ServiceAway) as caught:
            ask()
        assert caught.value.retryable
        assert caught.value.http_status == 503
        assert "geheim" not in caught.value.message


def test_a_connection_that_the_server_cut_is_replaced(new_postgres: Any, postgres_template: str) -> None:
    store, other = (Store(url) for url in [new_postgres(postgres_template)] * 2)
    owner = store.owner
    cut = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
               "AND pid <> pg_backend_pid()")  # fmt: skip
    with pytest.raises(ServiceAway), store.database.transaction() as session:
        session.execute(text("SELECT 1"))
        with other.database.transaction() as killer:
            killer.execute(cut)
        session.add(WorkerBeatRow(**beat_values("a")))
    assert store.jobs.list(owner).jobs == ()
    assert beats(store.database) == []
    store.database.close()
    other.database.close()


def test_a_connection_that_rested_and_was_cut_meanwhile_is_replaced_unseen(
    new_postgres: Any, postgres_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart of the server; one that was used just now is not asked for a sign of life first."""
    store, other = (Store(url) for url in [new_postgres(postgres_template)] * 2)
    asked: list[object] = []
    ping = PGDialect_psycopg.do_ping

    def do_ping(self: PGDialect_psycopg, connection: Any) -> bool:
        asked.append(connection)
        return ping(self, connection)

    monkeypatch.setattr(PGDialect_psycopg, "do_ping", do_ping)
    owner = store.owner
    for _ in range(3):
        assert store.jobs.list(owner).jobs == ()
    assert asked == []
    with other.database.transaction() as killer:
        killer.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                            "AND pid <> pg_backend_pid()"))  # fmt: skip
    monkeypatch.setattr(database, "REST_S", 0.0)
    assert store.jobs.list(owner).jobs == ()
    assert len(asked) == 1
    store.database.close()
    other.database.close()


def test_a_file_that_is_no_database_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"something else entirely, and long enough to be read" * 100)
    with pytest.raises(DatabaseUnusable):
        Database(f"sqlite:///{path}").upgrade()


def test_a_full_disk_is_away_and_leaves_nothing(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    store.database.upgrade()
    owner = store.owner
    with pytest.raises(ServiceAway, match="full"), store.database.transaction() as session:
        store.create()
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar()
        session.connection().exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        store.jobs.create(owner, "article", {"text": "x" * 100_000})
    assert store.jobs.list(owner).jobs == ()
    store.database.close()


def test_who_goes_on_after_a_full_disk_writes_nothing_by_half(tmp_path: Path) -> None:
    """SQLite then ends the whole transaction by itself: what came before and after the failure must not be kept."""
    store = Store(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    store.database.upgrade()
    owner = store.owner
    with pytest.raises(ServiceAway, match="nothing"), store.database.transaction() as session:
        session.add(WorkerBeatRow(**beat_values("before")))
        session.flush()
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar()
        session.connection().exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(ServiceAway, match="full"):
            store.jobs.create(owner, "article", {"text": "x" * 100_000})
        session.execute(WorkerBeatRow.__table__.insert(), beat_values("after"))
    assert beats(store.database) == []
    store.create()  # there is room again: the limit was the connection's
    store.database.close()


def test_an_inner_refusal_leaves_the_outer_transaction_usable(store: Store) -> None:
    with store.database.transaction() as session:
        session.add(WorkerBeatRow(**beat_values("before")))
        with pytest.raises(DatabaseUnusable):
            store.jobs.create("key_" + "0" * 26, "article", BRIEF)
        with pytest.raises(DatabaseUnusable), store.database.transaction() as inner:
            inner.add(WorkerBeatRow(**beat_values("inner") | {"queue": None}))
        session.add(WorkerBeatRow(**beat_values("after")))
    assert beats(store.database) == ["after", "before"]


def test_processes_that_start_at_once_all_find_the_schema(empty_url: str) -> None:
    code = (
        "import sys\nfrom workers.store.database import Database\n"
        "d = Database(sys.argv[1])\nd.upgrade()\nd.require_schema()"
    )
    started = [child(code, empty_url) for _ in range(3)]
    for one in started:
        _, errors = one.communicate(timeout=60)
        assert one.returncode == 0, errors


KILLED_INSIDE = """
import sys, time
from tests.workers.job_store import Store
from workers.store.clock import utc_now
store = Store(sys.argv[1], utc_now)
with store.database.transaction():
    claim = store.leases.claim(sys.argv[2], "worker-1", 30)
    store.leases.note(claim, "stage.started", stage="plan")
    store.leases.finish(claim, "succeeded", result={})
    store.jobs.rerun(sys.argv[2], sys.argv[3])
    print("inside", flush=True)
    time.sleep(60)
"""


def test_a_process_killed_inside_a_transaction_leaves_nothing_of_it(store: Store) -> None:
    job = store.create()
    process = child(KILLED_INSIDE, store.url, job.id, store.owner)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    assert store.get(job) == job  # a reader neither waits nor sees anything
    process.kill()
    process.communicate(timeout=10)
    assert store.get(job) == job
    assert store.names(job) == ["job.queued"]
    assert assert_whole(store.database) == 1
    claim = store.leases.claim(job.id, "worker-2", 30)  # nothing is locked any more
    assert claim is not None
    assert claim.attempt == 1


KILLED_ANYWHERE = """
import sys
from tests.workers.job_store import Store
from workers.store.clock import utc_now
store = Store(sys.argv[1], utc_now)
print("working", flush=True)
while True:
    claim = store.claimed()
    store.leases.note(claim, "stage.started", stage="plan")
    store.leases.finish(claim, "succeeded", result={})
    print(claim.job_id, flush=True)
"""


def test_a_process_killed_anywhere_loses_nothing_that_it_was_told_is_written(store: Store) -> None:
    told: list[str] = []
    for delay_s in (0.05, 0.11, 0.23):
        process = child(KILLED_ANYWHERE, store.url)
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        time.sleep(delay_s)
        os.kill(process.pid, signal.SIGKILL)
        # A last line that was cut short is no id.
        told += [line for line in process.communicate(timeout=10)[0].splitlines(keepends=True) if line.endswith("\n")]
    assert told
    assert assert_whole(store.database) >= len(told)
    with store.database.reading() as session:
        ended = set(session.scalars(select(JobRow.id).where(JobRow.state == "succeeded")))
    assert {line.strip() for line in told} <= ended


def test_a_writer_that_waits_too_long_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.store.database.BUSY_TIMEOUT_S", 0.05)
    store = Store(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    store.database.upgrade()
    other = Database(store.url)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store.database.transaction():
            held.set()
            done.wait(10)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert held.wait(10)
        for database in (store.database, other):
            with pytest.raises(InterleafError) as caught:
                new_key(database, store.clock)
            assert isinstance(caught.value, ServiceAway)
        done.set()
        holding.result(10)
    new_key(other, store.clock)
    other.close()
    store.database.close()


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process that runs `code` with our folders on its path."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )
