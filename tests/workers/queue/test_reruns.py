"""Reruns: the same again gives the same bytes, and says nothing; what moved since is named with what it was and what
it is; what a person changed is listed as that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import workers.run.shelf as shelf
import workers.wiring as wiring
from agents.context import Writer
from agents.extractive import ExtractiveWriter
from interleaf.schema import Article
from retrieval.library import PictureLibrary
from retrieval.pictures.metadata import PictureMetadata
from tests.fakes import HashingEmbedder
from tests.retrieval.drawing import write_scene
from tests.workers.job_service import NOTES
from tests.workers.job_store import Store, new_key
from workers.queue.celery_app import make_app
from workers.queue.dispatch import Dispatcher
from workers.queue.job_run import JobRun
from workers.queue.lease_keeper import LeaseKeeper
from workers.settings import Settings
from workers.store.job import Job
from workers.store.job_store import JobStore
from workers.store.libraries import Library

WORDS = {
    1: "A tide mill stores water behind a dam at high tide",
    2: "Ships wait for high tide before a shallow harbour",
    3: "Mussels close their shells while they are dry",
    4: "A lock keeps the water in the basin",
}


class Bench:
    """A worker in this process: what it composes is wholly kept; no file is rendered but the piece's own JSON."""

    def __init__(self, store: JobStore, pictures: Path) -> None:
        self.store, self.pictures = store, pictures
        self.owner = new_key(store.database, store.clock)
        self.root = store.settings.libraries_dir / self.owner
        self.keeper = LeaseKeeper(store.leases, 60.0)

    def library(self, name: str, *seeds: int) -> Library:
        library = self.store.libraries.create(self.owner, name)
        self.add(library, *seeds)
        return library

    def add(self, library: Library, *seeds: int) -> None:
        with PictureLibrary.open(self.root) as opened:
            for seed in seeds:
                path = self.pictures / f"{seed}.png"
                if not path.is_file():
                    write_scene(path, seed)
                opened.add_described([(path, PictureMetadata(WORDS[seed], "given"))], library.id)
            count = opened.collections().get(library.id, 0)
        self.store.libraries.record(library.id, count, 1)

    def remove(self, library: Library, picture_id: str) -> None:
        with PictureLibrary.open(self.root) as opened:
            opened.remove([picture_id], library.id)
            count = opened.collections().get(library.id, 0)
        self.store.libraries.record(library.id, count, 1)

    def order(self, **fields: Any) -> Job:
        brief = {
            "instruction": "Explain the tides.",
            "sources": [{"text": NOTES, "name": "tides.md"}],
            "libraries": ["harbour"],
            "formats": ["json"],
            "seed": 3,
            **fields,
        }
        return self.done(self.store.jobs.create(self.owner, "article", brief))

    def rerun(self, job: Job, by: Writer | None = None, **overrides: Any) -> Job:
        brief = self.store.jobs.brief(job.id, self.owner) | overrides
        return self.done(self.store.jobs.rerun(job.id, self.owner, brief), by)

    def done(self, job: Job, by: Writer | None = None) -> Job:
        claim = self.store.leases.claim(job.id, self.store.worker, 60.0)
        assert claim is not None
        dispatcher = Dispatcher(make_app(self.store.settings), self.store)  # nothing is sent: nothing is rendered
        JobRun(self.store, self.keeper, dispatcher, claim, writer=by).run()
        ended = self.store.jobs.get(job.id, self.owner)
        assert ended.state == "succeeded", ended.error
        return ended

    def bytes_of(self, job: Job) -> bytes:
        assert job.result is not None
        (file,) = job.result["artifacts"]
        return self.store.artifacts.read_all(f"jobs/{job.id}/{file['sha256']}")

    def article(self, job: Job) -> Article:
        return Article.model_validate_json(self.bytes_of(job))


@pytest.fixture
def bench(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for place in (wiring, shelf):
        monkeypatch.setattr(place, "make_embedder", lambda settings: HashingEmbedder())
    opened = JobStore(Settings(home=tmp_path / "home", database_url=store.url))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    yield Bench(opened, pictures)
    opened.close()


def told(job: Job) -> dict[str, Any]:
    assert job.result is not None
    found = job.result["rerun"]
    assert isinstance(found, dict)
    return found


def codes(job: Job) -> list[str]:
    return [notice["code"] for notice in told(job)["notices"]]


def test_where_nothing_has_moved_the_bytes_are_the_same_and_nothing_is_said(bench: Bench) -> None:
    bench.library("harbour", 1, 2, 3)
    first = bench.order()
    assert "rerun" not in first.result  # type: ignore[operator]
    again = bench.rerun(first)
    assert told(again) == {"of": first.id, "overrides": [], "notices": []}
    assert bench.bytes_of(again) == bench.bytes_of(first)
    # What another library holds, and whether it has the same picture, is nothing to this one.
    bench.library("elsewhere", 4, 1)
    third = bench.rerun(again)
    assert told(third) == {"of": again.id, "overrides": [], "notices": []}
    assert bench.bytes_of(third) == bench.bytes_of(first)


def test_a_job_says_what_it_ran_with_and_names_libraries_as_people_do(bench: Bench) -> None:
    library = bench.library("harbour", 1, 2, 3)
    job = bench.order()
    assert job.result is not None
    run = job.result["run"]
    assert (run["seed"], run["writer"], run["writer_version"]) == (3, "extractive", ExtractiveWriter.version)
    assert run["encoder"] == HashingEmbedder().name
    assert run["interleaf_version"]
    assert list(run["libraries"]) == ["harbour"]
    article = bench.article(job)
    assert article.figures, "a piece without pictures proves nothing here"
    assert {picture.collection for picture in article.pictures} == {"harbour"}
    for own in (library.id, job.id, job.run_id, bench.owner):
        assert own.encode() not in bench.bytes_of(job)


def test_a_library_that_moved_by_one_picture_is_named_with_both_versions(bench: Bench) -> None:
    library = bench.library("harbour", 1, 2, 3)
    first = bench.order()
    bench.add(library, 4)
    again = bench.rerun(first)
    assert codes(again) == ["rerun_library"]
    (was,), (now,) = (job.result["run"]["libraries"].values() for job in (first, again))  # type: ignore[index]
    assert was != now
    message = told(again)["notices"][0]["message"]
    assert message == f"library harbour is at {now[:12]} now; it was at {was[:12]}"
    assert told(again)["overrides"] == []
    # It is said of the job, not in the piece: the same once more has moved from nothing, and has the same bytes.
    third = bench.rerun(again)
    assert codes(third) == []
    assert bench.bytes_of(third) == bench.bytes_of(again)


def test_pictures_that_are_gone_are_named(bench: Bench) -> None:
    library = bench.library("harbour", 1, 2, 3)
    first = bench.order()
    gone = bench.article(first).picture(bench.article(first).figures[0].picture_id)
    bench.remove(library, gone.id)
    again = bench.rerun(first)
    assert codes(again) == ["rerun_library", "rerun_picture_gone"]
    assert gone.name in told(again)["notices"][1]["message"]
    assert gone.id not in {picture.id for picture in bench.article(again).pictures}
    for picture in bench.article(first).pictures:
        if picture.id != gone.id:
            bench.remove(library, picture.id)
    empty = bench.rerun(first)
    assert "harbour is without pictures now; it was at" in told(empty)["notices"][0]["message"]
    assert bench.rerun(empty).result["rerun"]["notices"] == []  # type: ignore[index]


def test_a_library_that_another_bears_the_name_of_is_compared_by_what_it_holds(bench: Bench) -> None:
    library = bench.library("harbour", 1, 2, 3)
    first = bench.order()
    bench.store.libraries.delete(library.id, bench.owner)
    with PictureLibrary.open(bench.root) as opened:
        opened.remove_collection(library.id)
    bench.library("harbour", 3, 1, 2)
    again = bench.rerun(first)
    assert codes(again) == []
    assert bench.bytes_of(again) == bench.bytes_of(first)


def test_another_writer_or_version_of_it_is_named(bench: Bench) -> None:
    bench.library("harbour", 1, 2, 3)
    first = bench.order()
    newer = type("Newer", (ExtractiveWriter,), {"version": "2 of tomorrow"})(HashingEmbedder())
    again = bench.rerun(first, newer)
    assert codes(again) == ["rerun_writer"]
    was, now = f"extractive, version {ExtractiveWriter.version}", "extractive, version 2 of tomorrow"
    assert told(again)["notices"][0]["message"] == f"the writer is {now} now; it was {was}"
    other = type("Other", (ExtractiveWriter,), {"name": "somebody else"})(HashingEmbedder())
    asked = bench.rerun(first, other, writer="somebody else")
    assert codes(asked) == [], "a person wanted another writer"
    assert told(asked)["overrides"] == [{"field": "writer", "was": '"extractive"', "now": '"somebody else"'}]


@pytest.mark.parametrize(
    ("place", "name", "value", "code"),
    [
        (wiring, "__version__", "99.0", "rerun_interleaf"),
        (HashingEmbedder, "sha256", "0" * 64, "rerun_encoder"),
    ],
)
def test_another_interleaf_and_another_encoder_are_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, place: Any, name: str, value: str, code: str
) -> None:
    bench.library("harbour", 1, 2, 3)
    first = bench.order()
    monkeypatch.setattr(place, name, value)
    again = bench.rerun(first)
    assert codes(again) == [code]
    assert value[:12] in told(again)["notices"][0]["message"]


def test_what_a_person_changed_is_listed_as_that_and_what_moved_beside_it(bench: Bench) -> None:
    library = bench.library("harbour", 1, 2, 3)
    first = bench.order()
    again = bench.rerun(first, seed=7, sources=[{"text": NOTES + "\n\nThe moon is full. " * 20, "name": "tides.md"}])
    overrides = {one["field"]: (one["was"], one["now"]) for one in told(again)["overrides"]}
    assert overrides["seed"] == ("3", "7")
    assert set(overrides) == {"seed", "sources"}
    assert all(len(value) <= 120 for both in overrides.values() for value in both)
    assert codes(again) == []
    bench.add(library, 4)
    assert codes(bench.rerun(first, seed=7)) == ["rerun_library"]
    elsewhere = bench.rerun(first, libraries=[])
    assert codes(elsewhere) == [], "a person wanted no library"
    assert [one["field"] for one in told(elsewhere)["overrides"]] == ["libraries"]
    assert told(bench.rerun(first, seed=3))["overrides"] == [], "the same value changes nothing"


def test_a_job_that_is_gone_or_came_to_nothing_can_be_compared_with_nothing(bench: Bench) -> None:
    bench.library("harbour", 1, 2, 3)
    first = bench.order()
    canceled = bench.store.jobs.create(bench.owner, "article", bench.store.jobs.brief(first.id, bench.owner))
    bench.store.jobs.cancel(canceled.id, bench.owner)
    again = bench.rerun(canceled)
    assert codes(again) == ["rerun_unrecorded"]
    assert "came to no piece" in told(again)["notices"][0]["message"]
    ordered = bench.store.jobs.rerun(first.id, bench.owner)
    bench.store.jobs.delete(first.id, bench.owner)
    orphan = bench.done(ordered)
    assert codes(orphan) == ["rerun_unrecorded"]
    assert "was deleted" in told(orphan)["notices"][0]["message"]


def test_a_retry_of_a_rerun_is_still_compared(bench: Bench) -> None:
    library = bench.library("harbour", 1, 2, 3)
    first = bench.order()
    stopped = bench.store.jobs.rerun(first.id, bench.owner)
    bench.store.jobs.cancel(stopped.id, bench.owner)
    bench.add(library, 4)
    retried = bench.done(bench.store.jobs.retry(stopped.id, bench.owner))
    assert (retried.retry_of, retried.rerun_of) == (stopped.id, first.id)
    assert codes(retried) == ["rerun_library"]


def test_it_is_told_once_with_the_document(bench: Bench) -> None:
    bench.library("harbour", 1, 2, 3)
    again = bench.rerun(bench.order(), seed=7)
    events = bench.store.events.after(again.id, bench.owner, limit=1_000).events
    names = [event.name for event in events]
    assert names.count("rerun.compared") == 1
    assert names.index("document.ready") < names.index("rerun.compared") < names.index("job.succeeded")
    event = next(event for event in events if event.name == "rerun.compared")
    assert {name: event.data[name] for name in ("of", "overrides", "notices")} == told(again)
