"""Jobs done anew over REST: what is gone is said by name, and what has moved stands in the result."""

from __future__ import annotations

from typing import Any

import pytest

from interleaf.schema import Article, Brief, Notice, Report, Run
from tests.api.service import BRIEF, Client, Service
from workers.store.libraries import Libraries
from workers.store.reruns import COMPARED, Earlier, Override, Rerun, Reruns, compared
from workers.store.results import Results
from workers.store.tables import JobRow

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 64
RUN = Run(
    interleaf_version="0.1.0",
    writer="extractive",
    writer_version="1",
    encoder="e",
    seed=3,
    brief_sha256="0" * 64,
    libraries={"harbour": "a" * 64},
)


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def sent(client: Client, name: str = "notes.md", content: bytes = b"The tide rises.") -> dict[str, Any]:
    told: dict[str, Any] = client.post("/v1/uploads", files={"file": (name, content, "text/plain")}).json()
    return told


def test_an_upload_that_is_gone_is_named_unless_it_is_replaced(service: Service) -> None:
    client = service.client()
    notes, picture = sent(client), sent(client, "a.png", PNG)
    brief = {"instruction": "Say it.", "sources": [notes["reference"]], "pictures": [picture["reference"]]}
    job = client.order(brief).json()["id"]
    assert client.post(f"/v1/jobs/{job}/rerun").status_code == 202
    client.delete(f"/v1/uploads/{picture['id']}")
    refused = client.post(f"/v1/jobs/{job}/rerun", json={"seed": 7})
    assert problem(refused) == (409, "input_gone")
    assert job in refused.json()["detail"]
    assert picture["id"] in refused.json()["detail"]
    assert "Give other pictures with the rerun." in refused.json()["detail"]
    assert client.post(f"/v1/jobs/{job}/rerun", json={"pictures": []}).status_code == 202
    client.delete(f"/v1/uploads/{notes['id']}")
    refused = client.post(f"/v1/jobs/{job}/rerun", json={"pictures": []})
    assert (problem(refused), notes["id"] in refused.json()["detail"]) == ((409, "input_gone"), True)
    # What replaces it is looked at like any order.
    wrong = client.post(f"/v1/jobs/{job}/rerun", json={"pictures": [], "sources": [notes["reference"]]})
    assert problem(wrong) == (404, "object_unknown")
    listed = client.get("/v1/jobs").json()["data"]
    assert len(listed) == 3, "what was refused made no job"


def test_a_library_that_is_gone_is_named_unless_it_is_replaced(service: Service) -> None:
    client, libraries = service.client(), Libraries(service.database)
    library = libraries.create(service.alice_id, "harbour")
    job = client.order(BRIEF | {"libraries": ["harbour"]}).json()["id"]
    libraries.delete(library.id, service.alice_id)
    refused = client.post(f"/v1/jobs/{job}/rerun")
    assert problem(refused) == (409, "input_gone")
    assert "harbour" in refused.json()["detail"]
    assert client.post(f"/v1/jobs/{job}/rerun", json={"libraries": []}).status_code == 202
    assert problem(client.post(f"/v1/jobs/{job}/rerun", json={"libraries": ["coast"]})) == (422, "invalid_brief")


def test_an_ingest_without_its_upload_or_its_library_is_not_done_anew(service: Service) -> None:
    client, libraries = service.client(), Libraries(service.database)
    library = libraries.create(service.alice_id, "harbour")
    picture = sent(client, "a.png", PNG)
    job = client.post(f"/v1/libraries/{library.id}/ingests", json={"uploads": [picture["id"]]}).json()["id"]
    client.delete(f"/v1/uploads/{picture['id']}")
    refused = client.post(f"/v1/jobs/{job}/rerun")
    assert (problem(refused), picture["id"] in refused.json()["detail"]) == ((409, "input_gone"), True)
    libraries.delete(library.id, service.alice_id)
    refused = client.post(f"/v1/jobs/{job}/rerun", json={"uploads": [picture["id"]]})
    assert (problem(refused), library.id in refused.json()["detail"]) == ((409, "input_gone"), True)


def test_the_result_says_what_it_ran_with_and_what_is_not_as_it_was(service: Service) -> None:
    client = service.client()
    first = made(service, service.create().id, RUN)
    told = client.get(f"/v1/jobs/{first}").json()["result"]
    assert told["run"] == RUN.model_dump(mode="json")
    assert told["rerun"] is None
    assert "run" not in told["report"]
    again = client.post(f"/v1/jobs/{first}/rerun", json={"seed": 7}).json()["id"]
    moved = Rerun(first, (Override("seed", "3", "7"),), (Notice(code="rerun_library", message="it has moved"),))
    made(service, again, RUN, moved)
    told = client.get(f"/v1/jobs/{again}").json()
    assert told["rerun_of"] == first
    assert told["result"]["rerun"] == {
        "of": first,
        "overrides": [{"field": "seed", "was": "3", "now": "7"}],
        "notices": [{"code": "rerun_library", "message": "it has moved"}],
    }
    events = client.get(f"/v1/jobs/{again}/events?limit=100").json()["data"]
    assert [event["name"] for event in events].count("rerun.compared") == 1


def test_a_job_of_an_earlier_version_is_compared_by_its_document(service: Service) -> None:
    """What ended before results had a run record: the piece has one."""
    first = made(service, service.create().id, RUN)
    job = service.jobs.rerun(first, service.alice_id)
    reruns = Reruns(service.database)
    found = reruns.earlier(job)
    assert found is not None
    assert found.run == RUN
    with service.database.transaction() as session:
        row = session.get(JobRow, first)
        assert row is not None
        row.result = {name: value for name, value in (row.result or {}).items() if name != "run"}
    found = reruns.earlier(job)
    assert found is not None
    assert found.run == RUN
    stranger = service.jobs.create(service.bob_id, "article", BRIEF)
    assert reruns.earlier(stranger) is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, None),
        ({"picture_encoder": "clip"}, "rerun_picture_encoder"),
        ({"encoder_sha256": "1" * 64}, "rerun_encoder"),
        ({"brief_sha256": "1" * 64}, "rerun_input"),
        ({"libraries": {"harbour": "a" * 12 + "b" * 52}}, "rerun_library"),
        ({"libraries": {}}, "rerun_library"),
        ({"libraries": {"harbour": "a" * 64, "coast": "c" * 64}}, "rerun_library"),
        ({"seed": 9}, None),
    ],
)
def test_each_thing_that_moves_has_its_code(fields: dict[str, Any], code: str | None) -> None:
    brief = {"instruction": "Say it.", "seed": 3}
    earlier = Earlier("job_1", brief, RUN)
    found = compared(earlier, Brief.model_validate(brief), RUN.model_copy(update=fields))
    assert [notice.code for notice in found.notices] == ([] if code is None else [code])
    assert found.overrides == ()


def made(service: Service, job_id: str, run: Run, rerun: Rerun | None = None) -> str:
    """The job, ended as its worker ends it."""
    claim, results = service.claim(job_id), Results(service.database, service.leases)
    article = Article(title="Tides", language="en", blocks=(), report=Report(), run=run)
    content = article.model_dump_json().encode()
    results.keep_document(claim, article, service.store.put(f"jobs/x/{job_id}", [content]))
    if rerun is not None:
        service.leases.note(claim, COMPARED, rerun.written())
    assert results.settle(claim, ()) is not None
    return job_id
