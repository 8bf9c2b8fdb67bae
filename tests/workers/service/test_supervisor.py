"""The supervisor over real processes: parts that are killed come back, a stop gives jobs back, a kill leaves nothing,
and whatever happens, the job ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from interleaf.service.service_job import Job
from tests.workers.job_service import NOTES
from tests.workers.service.served import PROC, Served, environment, wait_for
from workers.service.supervisor import Supervisor
from workers.settings import Settings
from workers.store.job_store import JobStore

PROGRAM = [sys.executable, str(Path(__file__).with_name("paced_service.py")), "serve"]
BRIEF = {
    "instruction": "Explain the tides.",
    "sources": [{"text": NOTES, "name": "tides.md"}],
    "formats": ["html", "md"],
}
SLOW_S = 60.0

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks for processes in /proc")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served") / "data", PROGRAM, lease_s=3.0, upkeep_s=0.5)
    served.start()
    yield served
    served.close()


def pace(service: Served, section_s: float) -> None:
    """How long each section takes from now on."""
    aside = service.data / "pace.part"
    aside.write_text(str(section_s))
    aside.replace(service.data / "pace")


def begun(service: Served) -> int:
    """How many sections were begun, of all jobs."""
    path = service.data / "begun.log"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def begin_job(service: Served) -> Job:
    """A job whose first section is being written."""
    before = begun(service)
    with service.client() as client:
        job = client.jobs.create(BRIEF)
    wait_for(lambda: begun(service) > before, service.logs)
    return job


def state_in_store(service: Served, job_id: str) -> tuple[str, list[str]]:
    """State and events of a job, read from the database; the events have no hole."""
    store = JobStore(Settings(home=service.data))
    try:
        job = store.results.job(job_id)
        assert job is not None
        events = store.events.after(job_id, job.owner, limit=1000).events
    finally:
        store.close()
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    return job.state, [event.name for event in events]


def ended(service: Served, job_id: str) -> list[str]:
    """The events of the job when it has succeeded, once."""
    wait_for(lambda: state_in_store(service, job_id)[0] == "succeeded", service.logs)
    names = state_in_store(service, job_id)[1]
    assert names.count("job.succeeded") == 1
    assert names[-1] == "job.succeeded"
    return names


def test_every_part_that_is_killed_comes_back_and_the_job_ends(service: Served) -> None:
    pace(service, 0.5)
    job = begin_job(service)
    for role in ("compose", "render", "beat", "api", "redis"):
        pid = service.part(role)
        assert pid is not None, service.logs()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda role=role, pid=pid: service.part(role) not in (None, pid), service.logs)
    pace(service, 0.0)
    ended(service, job.id)
    said = service.errors()
    for role in ("compose", "render", "beat", "api"):
        assert f"{role} was killed by SIGKILL" in said
    assert "redis ended" in said
    with service.client() as client:
        document = client.jobs.get(job.id).document()
    assert "moon" in str(document.article)


def test_the_data_folder_is_its_users_own(service: Served) -> None:
    assert stat.S_IMODE(service.data.stat().st_mode) == 0o700


def test_a_second_service_on_the_same_data_folder_is_refused(service: Served) -> None:
    second = subprocess.run(
        [*PROGRAM, "--port", "0"], env=environment(service.data), capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 5
    assert second.stdout == ""
    assert str(service.data) in second.stderr
    assert "--data" in second.stderr
    with service.client() as client:
        assert client.jobs.list().data  # the first one did not mind


def test_a_stop_gives_the_job_back_and_the_next_start_goes_on(service: Served) -> None:
    pace(service, 2.0)
    job = begin_job(service)
    service.send(signal.SIGTERM)
    assert service.wait() == 0
    assert service.processes() == []
    state, names = state_in_store(service, job.id)
    assert state == "queued"
    assert "job.requeued" in names
    pace(service, 0.0)
    service.start()
    assert [line.partition(": ")[0] for line in service.lines] == ["ready"]  # the key is told once
    assert ended(service, job.id).count("job.started") == 2


def test_a_killed_supervisor_leaves_no_process_and_a_restart_works_at_once(service: Served) -> None:
    pace(service, SLOW_S)
    job = begin_job(service)
    parts = {role: service.part(role) for role in ("api", "compose", "render", "beat", "redis")}
    assert None not in parts.values()
    # One that hangs goes, too.
    hanging = parts["beat"]
    assert hanging is not None
    os.kill(hanging, signal.SIGSTOP)
    service.send(signal.SIGKILL)
    service.wait()
    pace(service, 0.0)
    wait_for(lambda: service.processes() == [], service.logs)
    service.start()
    assert "job.requeued" in ended(service, job.id)


def test_a_second_signal_ends_it_at_once(service: Served) -> None:
    pace(service, SLOW_S)
    job = begin_job(service)
    service.send(signal.SIGINT)
    wait_for(lambda: service.part("beat") is None, service.logs)  # it has begun to stop
    assert service.returncode is None  # the section is not over
    service.send(signal.SIGINT)
    assert service.wait() == 0
    assert service.processes() == []
    assert state_in_store(service, job.id)[0] in ("running", "queued")


@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.SIG_DFL], ids=["nohup", "terminal"])
def test_the_end_of_a_terminal_is_heard_unless_nohup_says_otherwise(tmp_path: Path, before: signal.Handlers) -> None:
    with socket.socket() as listening:
        supervisor = Supervisor(Settings(home=tmp_path), listening, say=print, tell=print)
        kept = signal.signal(signal.SIGHUP, before)
        try:
            with supervisor._heard():
                os.kill(os.getpid(), signal.SIGTERM)
                assert supervisor._asked == 1
                if before is signal.SIG_DFL:
                    os.kill(os.getpid(), signal.SIGHUP)
                    assert supervisor._asked == 2
                else:
                    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGHUP) is before
        finally:
            signal.signal(signal.SIGHUP, kept)
