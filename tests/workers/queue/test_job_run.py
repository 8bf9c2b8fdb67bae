"""Job run: a commit that arrives while its answer is lost is not done twice: one document, every event once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

import workers.wiring as wiring
from interleaf.errors import ServiceAway
from tests.fakes import HashingEmbedder
from tests.workers.job_service import NOTES
from tests.workers.job_store import new_key
from workers.queue.celery_app import make_app
from workers.queue.dispatch import Dispatcher
from workers.queue.job_run import JobRun
from workers.queue.lease_keeper import LeaseKeeper
from workers.settings import Settings
from workers.store.job_store import JobStore
from workers.store.tables import ArtifactRow, DocumentRow


@pytest.mark.parametrize("formats", [["json"], ["html"]], ids=["the end is lost", "files are to come"])
def test_an_answer_that_is_lost_after_the_piece_was_kept(
    formats: list[str], tmp_path: Path, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "make_embedder", lambda settings: HashingEmbedder())
    store = JobStore(Settings(home=tmp_path, database_url=empty_url, redis_url="redis://127.0.0.1:1/0"))
    store.database.upgrade()
    owner = new_key(store.database, store.clock)
    brief = {"instruction": "Explain the tides.", "sources": [{"text": NOTES}], "formats": formats}
    job = store.jobs.create(owner, "article", brief)
    together, lost = store.database.together, []

    def count(row: Any) -> int:
        with store.database.reading() as session:
            return session.scalar(select(func.count()).select_from(row).where(row.job_id == job.id)) or 0

    def answers_not(write: Callable[[], Any], owner: str) -> Any:
        done = together(write, owner)
        if count(DocumentRow) and not lost:
            lost.append(True)
            raise ServiceAway("database", "went away after the commit.", "Try again.")
        return done

    monkeypatch.setattr(store.database, "together", answers_not)
    keeper = LeaseKeeper(store.leases, 60.0)
    claim = store.leases.claim(job.id, store.worker, 60.0)
    assert claim is not None
    JobRun(store, keeper, Dispatcher(make_app(store.settings), store), claim).run()
    for watch, _ in keeper.kept():
        keeper.let_go(watch)

    assert lost
    assert (count(DocumentRow), count(ArtifactRow)) == (1, 1)
    events = store.events.after(job.id, owner, limit=1_000).events
    told = Counter((event.name, event.data.get("stage")) for event in events if event.name != "stage.progress")
    assert told["document.ready", None] == told["artifact.ready", None] == told["stage.started", "render"] == 1
    assert told["stage.completed", "assemble"] == told["run.started", None] == 1
    assert store.jobs.get(job.id, owner).state == ("succeeded" if formats == ["json"] else "running")
    store.close()
