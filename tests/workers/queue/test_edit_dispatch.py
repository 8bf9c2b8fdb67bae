"""Where jobs on documents go: edits by a model where the models are, other edits to the library worker, files to the
render workers; and a message that was lost is sent again by the queue that it was lost from, and by no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fresh_database import make_fresh
from tests.workers.job_store import MovedClock, new_key
from workers.queue.celery_app import make_app
from workers.queue.dispatch import Dispatcher
from workers.settings import Settings
from workers.store.ids import new_id
from workers.store.job_store import JobStore


class Posted(Dispatcher):
    """Writes its messages down. `full`: queues in which messages wait."""

    def __init__(self, store: JobStore) -> None:
        super().__init__(make_app(store.settings), store)
        self.posted: list[tuple[str, str, str]] = []
        self.full: set[str] = set()

    def _send_all(self, queue: str, tasks: Sequence[tuple[str, str]]) -> None:
        self.posted += [(task, queue, named) for task, named in tasks]

    def epoch(self) -> str:
        return "one"

    def is_empty(self, queue: str) -> bool:
        return queue not in self.full


@pytest.fixture
def store(empty_url: str, tmp_path: Path) -> Iterator[JobStore]:
    made = JobStore(Settings(home=tmp_path, database_url=empty_url), clock=MovedClock())
    make_fresh(made.database, empty_url)
    yield made
    made.close()


def test_messages_go_where_the_work_is_done_and_are_missed_there_alone(store: JobStore) -> None:
    owner, posted = new_key(store.database, store.clock), Posted(store)
    document_id = new_id("doc", store.clock())

    def edit(writer: str) -> str:
        said = {"op": "rewrite", "block_id": "b-1"}
        order = {"kind": "edit", "document_id": document_id, "version": 1, "edit": said, "writer": writer}
        return store.jobs.create(owner, "edit", order).id

    article = store.jobs.create(owner, "article", {"kind": "article", "instruction": "x", "writer": "tiny"}).id
    ingest = store.jobs.create(owner, "ingest", {"kind": "ingest"}).id
    by_hand, by_model = edit("extractive"), edit("tiny")
    render = store.jobs.create(owner, "render", {"kind": "render", "document_id": document_id}).id
    wanted = {
        article: ("interleaf.compose", "compose"),
        ingest: ("interleaf.ingest", "library"),
        by_hand: ("interleaf.edit", "library"),
        by_model: ("interleaf.edit_by_model", "compose"),
        render: ("interleaf.render_document", "render"),
    }
    assert posted.send_waiting() == 5
    assert {named: (task, queue) for task, queue, named in posted.posted} == wanted
    routes = make_app(store.settings).conf.task_routes
    assert all(routes[task]["queue"] == queue for task, queue in wanted.values())
    # Later than a lease: where no message waits, it was lost; where some wait, it may be among them.
    for empty in ("compose", "library", "render"):
        posted.posted.clear()
        posted.full = {"compose", "library", "render"} - {empty}
        assert isinstance(store.clock, MovedClock)
        store.clock.move(timedelta(seconds=store.settings.lease_s + 1).total_seconds())
        posted.send_waiting()
        assert {named for _, _, named in posted.posted} == {
            job_id for job_id, (_, queue) in wanted.items() if queue == empty
        }
