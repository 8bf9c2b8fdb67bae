"""Past jobs on both databases: what a worker wrote at the end of a job is what an estimate rests on."""

from __future__ import annotations

from interleaf.schema import Article
from tests.templates.sample import article
from tests.workers.job_store import Store, new_key
from workers.store.artifacts import StoredFile
from workers.store.job import Use
from workers.store.past_jobs import PastJobs
from workers.store.results import Results

FILE = StoredFile("jobs/x/y", 3, "0" * 64)


def ended(store: Store, owner: str, writer: str, seconds: float) -> None:
    store.clock.move(1.0)
    brief = {"kind": "article", "instruction": "x", "writer": writer}
    job = store.jobs.create(owner, "article", brief)
    claim = store.leases.claim(job.id, "worker", 60.0)
    assert claim is not None
    results = Results(store.database, store.leases, clock=store.clock)
    piece: Article = article(())
    told = piece.report.model_copy(update={"words": 90, "words_wanted": 100, "pictures_placed": 2})
    document = results.keep_document(claim, piece.model_copy(update={"report": told}), FILE)
    results.keep_file(claim, document.id, "html", "text/html", FILE, ("html", "md"))
    store.leases.beat(claim, Use(seconds, 11))
    done = results.keep_file(claim, document.id, "md", "text/markdown", FILE, ("html", "md"))
    assert done is not None
    assert done.state == "succeeded"


def test_what_workers_write_is_found_by_writer_and_owner(store: Store) -> None:
    past = PastJobs(store.database)
    assert past.like("xc25+style", store.owner) == ("nobody", [])
    ended(store, store.owner, "xc25+style", 2.5)
    ended(store, store.owner, "extractive", 9.0)
    whose, found = past.like("xc25+style", store.owner)
    assert (whose, len(found)) == ("own", 1)
    assert (found[0].seconds, found[0].tokens, found[0].pictures_placed) == (2.5, 11, 2)
    assert (found[0].order.words, found[0].order.formats, found[0].order.writer) == (100, 2, "xc25+style")
    other = new_key(store.database, store.clock)
    assert past.like("xc25+style", other) == ("nobody", [])
    for seconds in (1.0, 2.0, 3.0, 4.0):
        ended(store, other, "xc25+style", seconds)
    assert past.like("xc25+style", other)[0] == "own"
    whose, found = past.like("xc25+style", store.owner)
    assert (whose, [job.seconds for job in found]) == ("service", [4.0, 3.0, 2.0, 1.0, 2.5])
