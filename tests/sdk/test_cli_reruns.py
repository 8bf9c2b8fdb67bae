"""Reruns in Python and on the command line: what is not as it was is told where a job is waited for and shown."""

from __future__ import annotations

import json

import pytest

from interleaf import Client
from interleaf.errors import InputGone
from interleaf.schema import Notice
from tests.api.routes.test_reruns import PNG, RUN, made, sent
from tests.api.service import Service
from tests.sdk.test_cli_jobs import Said, address, said
from workers.store.reruns import Override, Rerun

__all__ = ["address", "said"]


def test_what_has_moved_is_told_by_wait_and_show(service: Service, said: Said) -> None:
    first = made(service, service.create().id, RUN)
    assert said("jobs", "wait", first) == "succeeded\n"
    assert said.err == ""
    again = said("jobs", "rerun", first, "--set", "seed=7").strip()
    notice = Notice(code="rerun_library", message="library [red]harbour[/red] is at b now; it was at a")
    made(service, again, RUN, Rerun(first, (Override("seed", "3", "7"),), (notice,)))
    assert said("jobs", "wait", again) == "succeeded\n", "for scripts nothing is added"
    assert said.err == f"not as it was: {notice.message}\n"
    sheet = said("jobs", "show", again)
    made_with = "extractive, version 1; seed 3; interleaf 0.1.0"
    for words in (first, made_with, "harbour at aaaaaaaaaaaa", "seed: 7; it was 3", notice.message):
        assert words in sheet, words
    told = json.loads(said("jobs", "wait", again, "--json"))
    assert told["result"]["rerun"]["notices"] == [{"code": notice.code, "message": notice.message}]
    assert said.err == ""


def test_a_rerun_that_cannot_be_says_why(service: Service, said: Said) -> None:
    client = service.client()
    picture = sent(client, "a.png", PNG)
    job = client.order({"instruction": "Say it.", "pictures": [picture["reference"]]}).json()["id"]
    client.delete(f"/v1/uploads/{picture['id']}")
    assert said("jobs", "rerun", job, code=InputGone.exit_code) == ""
    assert picture["id"] in said.err
    assert "Give other pictures" in said.err


def test_the_client_has_the_record_and_the_error(service: Service, address: str) -> None:
    first = made(service, service.create().id, RUN)
    with Client(address, service.alice) as client:
        job = client.jobs.get(first)
        assert job.result is not None
        assert job.result.run is not None
        assert job.result.run.libraries == RUN.libraries
        assert job.result.rerun is None
        again = job.rerun({"seed": 7})
        made(service, again.id, RUN, Rerun(first, (Override("seed", "3", "7"),), ()))
        again.wait(10)
        assert again.result is not None
        assert again.result.rerun is not None
        assert [(one.field, one.was, one.now) for one in again.result.rerun.overrides] == [("seed", "3", "7")]
        assert again.result.rerun.notices == ()
        notes = sent(service.client())
        gone = client.jobs.create({"instruction": "Say it.", "sources": [notes["reference"]]})
        service.client().delete(f"/v1/uploads/{notes['id']}")
        with pytest.raises(InputGone, match=notes["id"]):
            gone.rerun()
