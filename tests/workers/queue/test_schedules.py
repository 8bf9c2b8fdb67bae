"""Schedules over real processes: three beats at once, one of which is killed; every time fires once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.workers.job_service import JobService
from tests.workers.service.served import environment
from workers.store.schedule_order import ScheduleOrder
from workers.store.schedules import Schedules
from workers.store.tables import JobEventRow, JobRow, ScheduleRow, ScheduleRunRow
from workers.store.worker_beats import WorkerBeats

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

COUNT = 20
WITHIN_S = 8.0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_three_beats_one_of_them_killed_and_every_time_fires_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    values = {"upkeep_s": 0.2}
    if kind == "postgresql":
        values["database_url"] = request.getfixturevalue("new_postgres")(None)
    service = JobService(tmp_path / "home", **values)
    try:
        service.start()
        beats = [serve_beat(service) for _ in range(3)]
        # All three do their rounds: their first sign of life is in the database.
        alive = WorkerBeats(service.store.database)
        service.wait_for(lambda: alive.counts().get("beat", 0) == 3, 60)
        store = service.store
        schedules = Schedules(
            store.database, store.jobs, store.schedule_ticks, upload_kept=timedelta(days=1), clock=store.clock
        )
        begun = datetime.now(UTC) + timedelta(seconds=5)  # it takes a while to make them all
        due = [begun + timedelta(seconds=WITHIN_S * number / COUNT) for number in range(COUNT)]
        for number, at in enumerate(due):
            brief = {"instruction": f"Number {number} at {{{{ time }}}}"}
            schedules.create(service.owner, ScheduleOrder(name=str(number), brief=brief, at=at))
        # In the middle of them, whatever it is about to do.
        service.wait_for(lambda: _count(service, ScheduleRunRow) >= COUNT // 3)
        os.killpg(beats[0].pid, signal.SIGKILL)
        beats[0].wait()
        service.wait_for(lambda: _count(service, ScheduleRunRow) >= COUNT)
        time.sleep(1.0)  # a second run of something would come in the next rounds
        with store.database.reading() as session:
            runs = session.execute(select(ScheduleRunRow.due_at, ScheduleRunRow.outcome, ScheduleRunRow.job_id)).all()
            jobs = session.execute(select(JobRow.id, JobRow.dispatched_at)).all()
            left = session.scalar(select(func.count(ScheduleRow.next_fire_at)))
            events = session.scalar(select(func.count()).select_from(JobEventRow))
        assert sorted(run.due_at for run in runs) == due
        assert {run.outcome for run in runs} == {"ordered"}
        assert {run.job_id for run in runs} == {job.id for job in jobs} and len(jobs) == COUNT == events
        assert left == 0
        service.wait_for(
            lambda: all(service.store.results.job(job.id).dispatched_at is not None for job in jobs)  # type: ignore[union-attr]
        )
        assert all(beat.poll() is None for beat in beats[1:])
    finally:
        service.stop()


def serve_beat(service: JobService) -> subprocess.Popen[bytes]:
    """`interleaf serve beat` over the data of the service, in a session of its own."""
    chosen = service.settings.model_dump(exclude={"home"}, exclude_defaults=True)
    program = Path(sys.executable).with_name("interleaf")
    with (service.home / f"serve-{len(service.processes)}.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", "beat"],
            env=environment(service.home, **chosen),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    service.processes.append(process)
    return process


def _count(service: JobService, row: type[ScheduleRunRow]) -> int:
    with service.store.database.reading() as session:
        return session.scalar(select(func.count()).select_from(row)) or 0
