"""`interleaf usage` and `interleaf keys set` as a person and a script meet them, and the clients' methods below."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from interleaf import AsyncClient, Client
from interleaf.cli.app import main
from interleaf.errors import DayQuotaReached, ObjectUnknown, RequestRefused, ScopeMissing
from interleaf.service.retrying import Retrying
from tests.api.service import BRIEF, Service
from workers.store.ledger import Amounts, account

Run = Callable[..., str]


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    with service.served() as address:
        yield address


@pytest.fixture
def run(
    service: Service, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs the program; what it printed. `code` is the exit code that is expected, `key` whose key it has."""
    monkeypatch.setenv("INTERLEAF_SERVER", url)
    monkeypatch.setenv("COLUMNS", "160")

    def program(*arguments: str, code: int = 0, key: str = "") -> str:
        monkeypatch.setenv("INTERLEAF_API_KEY", key or service.alice)
        monkeypatch.setattr(sys, "argv", ["interleaf", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert int(ended.value.code or 0) == code, said.err
        return said.out + (said.err if code else "")

    return program


def spent(service: Service, days_ago: int, **amounts: float) -> date:
    at = datetime.now(UTC) - timedelta(days=days_ago)
    with service.database.transaction() as session:
        account(session, service.alice_id, at, Amounts(**amounts))  # type: ignore[arg-type]
    return at.date()


def test_a_person_sees_days_sums_and_what_is_left(service: Service, run: Run) -> None:
    assert "nothing from" in run("usage") and "no quotas of the day" in run("usage")
    today = spent(service, 0, jobs=1_200, ended=3, failed=1, seconds=61.25, tokens=9_000, bytes=2_500_000)
    before = spent(service, 3, jobs=2, seconds=30.0)
    old = spent(service, 50, jobs=1)
    table = run("usage")
    lines = {line.split()[1] if "│" in line else "": line.split() for line in table.splitlines() if "│" in line}
    assert [part for part in lines[str(today)] if part != "│"] == [
        str(today), "1,200", "3", "1", "61.2", "9,000", "2.5", "MB",
    ]  # fmt: skip
    assert str(before) in lines and str(old) not in lines
    assert "1,202" in lines["total"] and "91.2" in lines["total"]
    assert str(old) in run("usage", "--days", "60")
    assert str(before) not in run("usage", "--days", "3")


def test_a_program_reads_the_same(service: Service, run: Run) -> None:
    days = [spent(service, ago, jobs=1) for ago in range(130)]
    told = json.loads(run("usage", "--days", "120", "--json"))
    assert [one["day"] for one in told["data"]] == [str(day) for day in days[:120]], "page after page"
    assert (told["from"], told["to"], told["has_more"]) == (str(days[119]), str(days[0]), False)
    assert told["total"]["jobs"] == 120 and told["today"]["jobs"] == 1


def test_quotas_are_set_told_and_taken_away(service: Service, run: Run) -> None:
    spent(service, 0, jobs=1, seconds=70.5)
    said = run(
        "keys", "set", service.alice_id, "--max-jobs-per-day", "5", "--max-seconds-per-day", "60", key=service.admin
    )
    assert "5 jobs, 60 seconds a day" in said
    assert "5 jobs, 60 seconds" in run("keys", "list", key=service.admin)
    told = run("usage")
    assert "today: 1 of 5 jobs, 4 left" in told
    assert "today: 70.5 of 60 seconds of work, 0 left" in told
    assert "there is room again at" in told and "00:00 UTC" in told
    said = run("keys", "set", service.alice_id, "--max-seconds-per-day", "none", "--name", "none", key=service.admin)
    assert said == f"{service.alice_id} (none): 5 jobs a day\n"
    changed = json.loads(
        run("keys", "set", service.alice_id, "--max-jobs-per-day", "NONE", "--json", key=service.admin)
    )
    assert (changed["max_jobs_per_day"], changed["name"]) == (None, "none")
    assert "room again" not in run("usage")
    for wrong in ("-1", "many", "1.5", "9" * 30):
        assert "whole number" in run(
            "keys", "set", service.alice_id, "--max-jobs-per-day", wrong, key=service.admin, code=2
        )
    assert "what is to be changed" in run("keys", "set", service.alice_id, key=service.admin, code=2)
    run("keys", "set", "key_" + "0" * 26, "--name", "x", key=service.admin, code=ObjectUnknown.exit_code)
    run("keys", "set", service.alice_id, "--name", "x", code=ScopeMissing.exit_code)


def test_a_key_is_made_with_quotas_of_the_day(service: Service, run: Run) -> None:
    quotas = ("--max-jobs-per-day", "0", "--max-tokens-per-day", "7")
    secret = run("keys", "create", "s", "--scope", "jobs:read", "--scope", "jobs:write", *quotas, key=service.admin)
    told = json.loads(run("usage", "--json", key=secret.strip()))
    assert [(one["name"], one["limit"]) for one in told["today"]["quotas"]] == [
        ("max_jobs_per_day", 0),
        ("max_tokens_per_day", 7),
    ]


def test_an_admin_sees_another_key_and_others_do_not(service: Service, run: Run) -> None:
    spent(service, 0, jobs=7)
    assert json.loads(run("usage", "--key", service.alice_id, "--json", key=service.admin))["total"]["jobs"] == 7
    assert "admin" in run("usage", "--key", service.bob_id, code=ScopeMissing.exit_code)


def test_both_clients_tell_usage_and_refusals_with_their_numbers(service: Service, url: str) -> None:
    spent(service, 0, jobs=2, tokens=5)
    with Client(url, service.admin) as admin:
        admin.keys.update(service.alice_id, max_jobs_per_day=2, name="alice")
        with pytest.raises(RequestRefused, match="max_jobs_per_day"):
            admin.keys.update(service.alice_id, max_jobs_per_day=-1)
    with Client(url, service.alice, retrying=Retrying(within_s=5)) as client:
        found = client.usage()
        with pytest.raises(DayQuotaReached) as refused:  # at once: who waits until midnight is not asked by a pause
            client.jobs.create(BRIEF)
    error = refused.value
    assert (error.quota, error.limit, error.used) == ("max_jobs_per_day", 2, 2)
    assert error.free_at == f"{found.today.free_at:%Y-%m-%dT%H:%M:%SZ}"
    assert 0 <= error.wait_s <= 86_400
    assert error.request_id
    assert (found.total.jobs, found.total.tokens, found.data[0].day) == (2, 5, found.today.day)
    assert [(one.name, one.left) for one in found.today.quotas] == [("max_jobs_per_day", 0)]

    async def ask() -> None:
        async with AsyncClient(url, service.alice) as client:
            assert await client.usage(since=found.since, until=found.until) == found
        async with AsyncClient(url, service.admin) as admin:
            assert (await admin.keys.update(service.alice_id, max_jobs_per_day=None)).max_jobs_per_day is None
            assert (await admin.usage(key_id=service.alice_id)).today.quotas == ()

    asyncio.run(ask())
