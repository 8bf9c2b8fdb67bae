"""Chaos in small: each program as it is run by hand, with few jobs and short times."""

from __future__ import annotations

import importlib.util

import pytest

from interleaf.errors import Unsupported
from tests.chaos.database import Kind
from tests.chaos.database_away import database_away
from tests.chaos.disk_full import disk_full
from tests.chaos.hanging import hanging
from tests.chaos.killing import killing
from tests.chaos.long_job import long_job
from tests.chaos.recovery import recovery
from tests.chaos.redis_away import redis_away
from tests.chaos.service import ChaosService
from tests.chaos.verdict import Verdict
from tests.conftest import missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def hold(verdict: Verdict) -> None:
    """The whole table in the report when one line is not right."""
    assert not verdict.wrong, verdict.table


@pytest.fixture(autouse=True)
def _forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChaosService, "forks", True)


@pytest.fixture
def postgres() -> Kind:
    if importlib.util.find_spec("pgserver") is None:
        missing("pgserver", "pip install pgserver")
    return "postgres"


def test_killed_parts_and_an_emptied_redis_cost_nothing_and_do_nothing_twice(postgres: Kind) -> None:
    """Orders by hand, by the clock and by the batch, edits by two people, and a webhook."""
    hold(killing(jobs=8, seconds=40, database=postgres, every_s=2.5, mixed=True))


def test_without_redis_orders_are_accepted_and_run_when_it_is_back() -> None:
    hold(redis_away(jobs=8, seconds=5))


def test_without_a_database_requests_are_put_off_and_nothing_is_half_written(postgres: Kind) -> None:
    hold(database_away(jobs=6, seconds=3))


def test_a_full_disk_fails_the_job_with_that_reason_and_spoils_nothing() -> None:
    try:
        verdict = disk_full(jobs=2)
    except Unsupported as error:
        missing("tmpfs", error.message)
    hold(verdict)


def test_a_worker_that_hangs_loses_its_job_and_writes_nothing_afterwards(postgres: Kind) -> None:
    hold(hanging(jobs=2, database=postgres))


def test_a_lost_workers_job_goes_on_soon_and_ends_once() -> None:
    hold(recovery(jobs=3, seconds=3, rounds=1))


def test_a_job_of_ten_times_the_visibility_timeout_runs_once() -> None:
    hold(long_job(jobs=1, visibility_s=1.0))
