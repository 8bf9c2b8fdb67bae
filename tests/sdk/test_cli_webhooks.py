"""`interleaf webhooks` as a person and a script meet it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from interleaf.cli.app import main
from interleaf.errors import InvalidRequest, ObjectUnknown
from tests.api.service import Service
from workers.store.deliveries import Deliveries, Outcome

Run = Callable[..., str]
URL = "https://hooks.example.org/[in]"


@pytest.fixture
def run(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Runs the program; what it printed. `code` is the exit code that is expected."""
    with service.served() as url:
        monkeypatch.setenv("INTERLEAF_SERVER", url)
        monkeypatch.setenv("INTERLEAF_API_KEY", service.alice)
        monkeypatch.setenv("COLUMNS", "200")

        def program(*arguments: str, code: int = 0) -> str:
            monkeypatch.setattr(sys, "argv", ["interleaf", "webhooks", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
            said = capsys.readouterr()
            assert int(ended.value.code or 0) == code, said.err
            return said.out + said.err if code or arguments[0] in ("create", "add-secret") else said.out

        yield program


def test_from_its_making_to_its_end(service: Service, run: Run) -> None:
    assert "no webhooks" in run("list")
    made, secret = run("create", URL, "--description", "to the [newsroom]").split("\n", 1)
    assert "whsec_" in secret
    other = json.loads(run("create", URL, "--event", "job.failed", "--json"))
    assert other["events"] == ["job.failed"] and other["secret"].startswith("whsec_")
    assert made in run("list") and other["id"] in run("list")
    page = json.loads(run("list", "--limit", "1", "--json"))
    assert ([one["id"] for one in page["webhooks"]], page["next"]) == ([other["id"]], other["id"])
    sheet = run("show", made)
    assert URL in sheet and "to the [newsroom]" in sheet and "job.awaiting_input" in sheet and "whsec_" not in sheet
    off = run("change", made, "--disable", "--event", "job.expired")
    assert "off since" in off and "job.expired" in off
    assert "on" in run("change", made, "--enable")
    new = run("add-secret", made).split("\n", 1)
    assert "whsec_" in new[1]
    run("remove-secret", made, new[0])
    assert len(json.loads(run("show", made, "--json"))["secrets"]) == 1
    run("delete", made)
    run("show", made, code=ObjectUnknown.exit_code)


def test_messages_are_listed_shown_and_replayed(service: Service, run: Run) -> None:
    assert "no messages" in run("deliveries")
    made = run("create", URL).split("\n", 1)[0]
    message = run("test", made).strip()
    deliveries = Deliveries(service.database)
    claimed = deliveries.claim(60)
    assert claimed is not None and claimed.id == message
    deliveries.record(claimed, Outcome(datetime.now(UTC), 0.1, 410, "answered 410."))
    table = run("deliveries", "--webhook", made, "--state", "failed")
    assert message in table and "ping" in table
    assert json.loads(run("deliveries", "--state", "pending", "--json"))["deliveries"] == []
    sheet = run("delivery", message)
    assert "answered 410." in sheet and '"type": "ping"' in sheet
    assert json.loads(run("delivery", message, "--json"))["attempts"][0]["status"] == 410
    assert "off" in run("replay", message, code=InvalidRequest.exit_code)
    run("change", made, "--enable")
    assert run("replay", message).strip() == f"{message} is pending"


def test_what_is_wrong_is_said(run: Run) -> None:
    assert "private network" in run("create", "https://10.0.0.7/", code=InvalidRequest.exit_code)
    assert "events" in run("create", URL, "--event", "job.exploded", code=InvalidRequest.exit_code)
    run("change", "whk_1", code=InvalidRequest.exit_code)
