"""Tidying: what expired or belongs to nobody goes, everything else stays, and what fails hinders nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest

from interleaf.errors import ServiceAway
from tests.fresh_database import make_fresh
from workers.queue.tidying import PASS_EVERY, UNOWNED_AGE, Tidying
from workers.settings import Settings
from workers.store.answered import KEPT, Answer, Answered, Request
from workers.store.api_keys import ApiKeys
from workers.store.artifacts import ArtifactStore
from workers.store.deliveries import Outcome
from workers.store.ids import new_id, new_run_id
from workers.store.job_store import JobStore
from workers.store.ledger import Ledger
from workers.store.tables import ArtifactRow
from workers.store.uploads import Uploads
from workers.store.webhooks import Webhooks

HOUR = timedelta(hours=1)


class Place:
    """A store whose clock can be moved; files are as old as the clock says."""

    def __init__(self, home: Path, database_url: str) -> None:
        # The first thing in the database is its first key.
        self.now = datetime.now(UTC) - timedelta(days=100)
        self.store = JobStore(Settings(home=home, database_url=database_url), clock=lambda: self.now)
        make_fresh(self.store.database, self.store.settings.job_database_url)
        key, _ = ApiKeys(self.store.database, clock=lambda: self.now).create("test", ["jobs:write"])
        self.owner = key.id
        self.uploads = Uploads(
            self.store.database,
            self.store.artifacts,
            kept=timedelta(days=30),
            max_bytes=100,
            clock=lambda: self.now,
        )
        self.tidying = Tidying(self.store)
        self.now += HOUR

    def file(self, key: str, at: datetime | None = None) -> str:
        self.store.artifacts.put(key, [b"content"])
        self.date(Path(self.store.settings.artifacts_url) / key, at)
        return key

    def folder(self, name: str, at: datetime | None = None, within: str = "runs") -> Path:
        path = self.store.settings.home / within / name
        path.mkdir(parents=True)
        (path / "brief.json").write_text("{}")
        self.date(path, at)
        return path

    def date(self, path: Path, at: datetime | None = None) -> None:
        seconds = (at or self.now).timestamp()
        os.utime(path, (seconds, seconds))

    def keys(self) -> list[str]:
        return [file.key for file in self.store.artifacts.list()]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("new_postgres")(None)
    made = Place(tmp_path / "home", url)
    yield made
    made.store.close()


def test_files_of_nobody_go_when_they_are_old(place: Place) -> None:
    upload = place.uploads.add(place.owner, "a.md", BytesIO(b"text"))
    place.date(Path(place.store.settings.artifacts_url) / upload.file_key)
    job = place.store.jobs.create(place.owner, "article", {})
    owned = place.file(f"jobs/{job.id}/owned")
    with place.store.database.transaction() as session:
        session.add(
            ArtifactRow(
                id=new_id("art", place.now),
                owner=place.owner,
                job_id=job.id,
                document_id=None,
                format="html",
                media_type="text/html",
                bytes=7,
                sha256="0" * 64,
                file_key=owned,
                created_at=place.now,
            )
        )
    nobodys = [place.file(f"jobs/{job.id}/nobodys"), place.file("uploads/upl_nobodys")]
    elsewhere = place.file("libraries/lib_x/picture")
    earlier = place.file("jobs/of-another-database/file", place.now - 2 * HOUR)
    place.now += UNOWNED_AGE
    place.tidying.round()
    assert set(nobodys) <= set(place.keys())  # not old enough
    place.now += PASS_EVERY
    young = place.file("jobs/young/file")
    place.tidying.round()
    assert sorted(place.keys()) == sorted([upload.file_key, owned, elsewhere, earlier, young])


def test_a_pass_over_many_files_takes_several_rounds(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.queue.tidying._AT_ONCE", 2)
    monkeypatch.setattr("workers.queue.tidying._TIMES", 3)
    for i in range(10):
        place.file(f"jobs/nobodys/{i}")
    place.now += UNOWNED_AGE + HOUR
    left = [len(place.keys())]
    for _ in range(2):
        place.tidying.round()
        left.append(len(place.keys()))
    assert left == [10, 4, 0]


def test_a_file_that_is_written_anew_stays(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of a job that is tried again writes the same bytes to the same key, and its row after them."""
    key = place.file("jobs/tried-again/file")
    place.now += UNOWNED_AGE + HOUR
    real = place.tidying._unowned.files

    def files(keys: list[str]) -> list[str]:
        found = real(keys)
        for one in found:
            place.file(one)
        return found

    monkeypatch.setattr(place.tidying._unowned, "files", files)
    place.tidying.round()
    assert place.keys() == [key]


def test_run_folders_of_no_job_go_and_a_persons_own_stay(place: Place) -> None:
    job = place.store.jobs.create(place.owner, "article", {})
    kept = [place.folder(job.run_id), place.folder(new_run_id()), place.folder("my-own-name")]
    earlier = place.folder(new_run_id(of_job=True), place.now - 2 * HOUR)
    gone = [place.folder(new_run_id(of_job=True)), place.folder("j-x-0123-old", within="runs-aside")]
    outside = place.folder("outside", within="elsewhere")
    link = place.store.settings.runs_dir / new_run_id(of_job=True)
    link.symlink_to(outside)
    place.now += UNOWNED_AGE
    place.tidying.round()
    assert all(path.exists() for path in gone)
    place.now += PASS_EVERY
    young = place.folder(new_run_id(of_job=True))
    place.tidying.round()
    assert not any(path.exists() for path in gone)
    assert all((path / "brief.json").is_file() for path in [*kept, earlier, young, outside])


def test_uploads_answers_and_parts_go_in_time(place: Place) -> None:
    upload = place.uploads.add(place.owner, "a.md", BytesIO(b"text"))
    answered = Answered(place.store.database, clock=lambda: place.now)
    given: list[int] = []

    def answer() -> Answer:
        given.append(1)
        return Answer(200, b"", {})

    request = Request.of(place.owner, "key", "POST /v1/jobs", b"")
    answered.once(request, answer)
    part = Path(place.store.settings.artifacts_url) / "jobs" / ".part-x"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    place.date(part)
    place.now += KEPT - HOUR
    place.tidying.round()
    assert place.uploads.get(upload.id, place.owner)
    assert answered.once(request, answer)[1]
    assert part.exists()
    place.now += 2 * HOUR
    place.tidying.round()
    assert not part.exists()
    with place.store.database.reading() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM idempotency").scalar() == 0
    place.now += timedelta(days=30)
    place.tidying.round()
    assert place.keys() == []


def test_what_fails_hinders_nothing_else(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> int:
        raise ServiceAway("artifact store", "cannot be reached.", "")

    place.uploads.add(place.owner, "a.md", BytesIO(b"text"))
    folder = place.folder(new_run_id(of_job=True))
    place.now += timedelta(days=31)
    for name in ("delete", "sweep", "list"):
        monkeypatch.setattr(ArtifactStore, name, away)
    place.tidying.round()
    assert not folder.exists()


def test_a_store_that_comes_back_is_tidied_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    key = place.file("jobs/nobodys/file")
    place.now += UNOWNED_AGE + HOUR
    real: Callable[..., object] = ArtifactStore.list

    def away(*_: object) -> Iterator[object]:
        raise ServiceAway("artifact store", "cannot be reached.", "")

    monkeypatch.setattr(ArtifactStore, "list", away)
    place.tidying.round()
    monkeypatch.setattr(ArtifactStore, "list", real)
    assert place.keys() == [key]
    place.now += PASS_EVERY
    place.tidying.round()
    assert place.keys() == []


def test_what_became_of_old_messages_is_forgotten(place: Place) -> None:
    webhooks = Webhooks(place.store.database, clock=lambda: place.now)
    webhook, _ = webhooks.create(place.owner, "https://hooks.example.org/", ["job.failed"])
    old = webhooks.ping(webhook.id, place.owner)
    claimed = place.store.deliveries.claim(60)
    assert claimed is not None
    place.store.deliveries.record(claimed, Outcome(place.now, 0.1, 200, ""))
    place.now += timedelta(days=29)
    waiting = webhooks.ping(webhook.id, place.owner)
    place.tidying.round()
    assert [one.id for one in place.store.deliveries.list(place.owner, 10)] == [waiting.id, old.id]
    place.now += timedelta(days=2)
    place.tidying.round()
    assert [one.id for one in place.store.deliveries.list(place.owner, 10)] == [waiting.id]


def test_days_of_the_ledger_are_kept_as_long_as_the_setting_says(place: Place) -> None:
    ledger, first = Ledger(place.store.database), place.now.date()
    place.store.jobs.create(place.owner, "article", {})
    place.now += timedelta(days=1)
    place.store.jobs.create(place.owner, "article", {})
    place.now += timedelta(days=399)
    place.tidying.round()
    assert [day.day for day in ledger.days(place.owner, first, place.now.date(), 10)] == [
        first + timedelta(days=1),
        first,
    ]
    place.now += timedelta(days=1)
    place.tidying.round()
    assert [day.day for day in ledger.days(place.owner, first, place.now.date(), 10)] == [first + timedelta(days=1)]
