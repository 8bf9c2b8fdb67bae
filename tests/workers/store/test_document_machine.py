"""Documents as one machine: whatever several people and workers edit, undo, redo and restore, in whatever order and
with however old a version in hand: of two who edit the same version one is told so, the versions tell one story,
nothing is lost, and what was not edited stays byte for byte."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from agents.editing.changed import changed
from agents.editing.recounting import recounted
from interleaf.errors import BlockUnknown, EditRefused, InterleafError, LeaseLost, ObjectUnknown, VersionStale
from interleaf.schema import Article
from tests.agents.editing.pieces import PICTURES, PIECE, edits
from tests.workers.job_store import LEASE_S, Store, new_key
from workers.store.artifacts import StoredFile
from workers.store.document_deletion import delete_document
from workers.store.document_renders import DocumentRenders
from workers.store.document_versions import DocumentVersions
from workers.store.ids import new_id
from workers.store.job import Claim, Use
from workers.store.pieces import Pieces
from workers.store.results import Results
from workers.store.unowned import Unowned

FILE = StoredFile("jobs/x/y", 2, "0" * 64)
HELD = st.integers(0, 3)


class Desk:
    """What edits documents of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.versions = DocumentVersions(store.database, clock=store.clock)
        self.renders = DocumentRenders(store.database, store.jobs, store.leases, clock=store.clock)
        self.results = Results(store.database, store.leases, clock=store.clock)
        self.pieces = Pieces(store.database)

    def made(self, article: Article = PIECE) -> str:
        """A document as a job leaves it."""
        claim = self.store.claimed()
        document = self.results.keep_document(claim, article, FILE)
        for format in ("html", "md"):
            self.results.keep_file(claim, document.id, format, "text/plain", _file_of(article, format), ("html", "md"))
        return document.id

    def rendered(self, claim: Claim, document_id: str) -> None:
        """What a render worker does."""
        document = self.versions.newest(document_id, self.store.owner)
        for format in self.renders.lacked(document):
            file = _file_of(document.article, format)
            if not self.renders.has_same(claim, document, format, file.sha256):
                self.renders.keep(claim, document, format, "text/plain", file)
        self.renders.end(claim, document, {}, Use())


def _file_of(article: Article, format: str) -> StoredFile:
    """Stands for a rendered file: the same bytes for the same article. Markdown here tells of no alt text."""
    told = article.model_dump(mode="json")
    if format == "md":
        for block in told["blocks"]:
            block.pop("alt", None), block.pop("alt_origin", None)
    import hashlib

    sha256 = hashlib.sha256(repr((format, told)).encode()).hexdigest()
    return StoredFile(f"jobs/x/{sha256}", len(sha256), sha256)


class DocumentMachine(RuleBasedStateMachine):
    """Holds the store against a list of articles and the two stacks of a text editor."""

    store: Store

    @initialize()
    def begin(self) -> None:
        self.store.clear()
        self.desk = Desk(self.store)
        self.id = self.desk.made()
        self.told: list[Article] = [PIECE]
        """Every version, as it must be for ever."""
        self.how = ["made"]
        self.done, self.undone = [1], list[int]()
        self.held = [1, 1, 1, 1]
        """The version that each of four people has in hand."""
        self.claims: list[Claim] = []

    @property
    def version(self) -> int:
        return len(self.told)

    # What people do.

    @rule(who=HELD)
    def read(self, who: int) -> None:
        document = self.desk.pieces.document(self.id, self.store.owner)
        assert document.version == self.version
        self.held[who] = document.version

    @rule(who=HELD, data=st.data(), by_job=st.booleans())
    def edit(self, who: int, data: st.DataObject, by_job: bool) -> None:
        expected = self.held[who]
        old = self.told[expected - 1]
        one = data.draw(edits(old))
        try:
            picture = PICTURES.get(getattr(one, "picture_id", None) or "")
            new = recounted(old, changed(old, one, salt=str(expected + 1), picture=picture))
        except (BlockUnknown, EditRefused):
            return
        said = one.model_dump(mode="json")
        self._written(
            who,
            "edit",
            lambda: self.desk.versions.write(
                self.id,
                self.store.owner,
                expected,
                new,
                edit=said,
                job_id=new_id("job", self.store.clock()) if by_job else None,
            ),
            new,
        )

    @rule(who=HELD)
    def undo(self, who: int) -> None:
        target = self.told[self.done[-2] - 1] if len(self.done) > 1 else None
        self._written(who, "undo", lambda: self.desk.versions.undo(self.id, self.store.owner, self.held[who]), target)

    @rule(who=HELD)
    def redo(self, who: int) -> None:
        target = self.told[self.undone[-1] - 1] if self.undone else None
        self._written(who, "redo", lambda: self.desk.versions.redo(self.id, self.store.owner, self.held[who]), target)

    @rule(who=HELD, version=st.integers(1, 12))
    def restore(self, who: int, version: int) -> None:
        target = self.told[version - 1] if version <= self.version and version != self.held[who] else None
        expected = self.held[who]
        try:
            self._written(
                who,
                "restore",
                lambda: self.desk.versions.restore(self.id, self.store.owner, expected, version),
                target,
            )
        except ObjectUnknown:
            assert version > self.version

    @rule(who=HELD)
    def a_stranger_reaches_nothing(self, who: int) -> None:
        stranger = new_key(self.store.database, self.store.clock)
        for reach in (
            lambda: self.desk.versions.newest(self.id, stranger),
            lambda: self.desk.versions.undo(self.id, stranger, self.version),
            lambda: self.desk.versions.write(self.id, stranger, self.version, PIECE),
            lambda: self.desk.versions.list(self.id, stranger, 5),
            lambda: self.desk.renders.order(self.id, stranger),
            lambda: delete_document(self.store.database, self.id, stranger),
        ):
            with pytest.raises(ObjectUnknown):
                reach()

    # What workers do.

    @rule()
    def order(self) -> None:
        ordered = self.desk.renders.order(self.id, self.store.owner)
        lacked = self.desk.renders.lacked(self.desk.versions.newest(self.id, self.store.owner))
        assert (ordered is None) == (not lacked)
        if ordered is not None:
            again = self.desk.renders.order(self.id, self.store.owner)
            assert again is not None
            assert (again.job.id, again.is_new) == (ordered.job.id, False), "one job at a time makes its files"

    @rule()
    def claim(self) -> None:
        for job in self.store.jobs.list(self.store.owner).jobs:
            if job.kind == "render" and job.state == "queued":
                claim = self.store.leases.claim(job.id, "worker-1", LEASE_S)
                assert claim is not None
                self.claims.append(claim)

    @rule()
    def render(self) -> None:
        if self.claims:
            claim = self.claims.pop()
            self.desk.rendered(claim, self.id)
            with pytest.raises(LeaseLost):
                self.desk.rendered(claim, self.id)

    # What is true at all times.

    @invariant()
    def versions_tell_one_story(self) -> None:
        if not hasattr(self, "told"):
            return
        lines = self.desk.versions.list(self.id, self.store.owner, 1000)
        assert [line.version for line in lines] == list(range(self.version, 0, -1))
        assert [line.how for line in reversed(lines)] == self.how
        newest = self.desk.versions.newest(self.id, self.store.owner)
        assert (newest.version, newest.article) == (self.version, self.told[-1])
        for line in lines:
            if line.same_as is not None:
                assert self.told[line.same_as - 1] == self.told[line.version - 1]
                assert line.same_as < line.version
        # One of the earlier versions, another one each time: all of them would take too long.
        some = 1 + (len(lines) * 7) % self.version
        kept = self.desk.pieces.document(self.id, self.store.owner, some).article
        assert kept is not None
        assert Article.model_validate(kept) == self.told[some - 1], "what was kept once stays as it was"

    @invariant()
    def files_are_those_of_their_version(self) -> None:
        if hasattr(self, "told"):
            for number in {1, self.version}:
                for file in self.desk.pieces.document(self.id, self.store.owner, number).artifacts:
                    if file.format != "json" or number > 1:
                        same = _file_of(self.told[number - 1], file.format).sha256
                        assert file.sha256 in (same, FILE.sha256 if file.format == "json" else same)

    def _written(self, who: int, how: str, write: Callable[[], int], target: Article | None) -> None:
        expected = self.held[who]
        try:
            version = write()
        except VersionStale:
            assert expected != self.version, "the newest version was refused"
            return
        except EditRefused:
            # Whoever has an old version in hand is told that first, but for what could never be done.
            assert target is None
            return
        assert expected == self.version, "an old version was edited"
        assert version == self.version + 1
        assert target is not None
        self.told.append(target)
        self.how.append(how)
        self.held[who] = version
        if how == "undo":
            self.undone.append(self.done.pop())
        elif how == "redo":
            self.done.append(self.undone.pop())
        else:
            self.done.append(version)
            self.undone.clear()


def test_the_document_machine(store: Store) -> None:
    class Machine(DocumentMachine):
        pass

    Machine.store = store
    run_state_machine_as_test(  # type: ignore[no-untyped-call,unused-ignore]
        Machine, settings=settings(max_examples=15, stateful_step_count=40, deadline=None)
    )


def test_of_those_who_edit_one_version_at_the_same_time_one_is_told_that_it_was_done(store: Store) -> None:
    desk = Desk(store)
    document_id = desk.made()
    writers = 6
    for round_ in range(1, 4):
        gate = threading.Barrier(writers)
        came: list[Any] = [None] * writers

        def write(number: int, expected: int = round_, gate: threading.Barrier = gate, came: list[Any] = came) -> None:
            mine = PIECE.model_copy(update={"title": f"{expected} by {number}"})
            gate.wait()
            try:
                came[number] = desk.versions.write(document_id, store.owner, expected, mine)
            except InterleafError as error:
                came[number] = error

        threads = [threading.Thread(target=write, args=[number]) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert came.count(round_ + 1) == 1
        assert sum(isinstance(one, VersionStale) for one in came) == writers - 1
        newest = desk.versions.newest(document_id, store.owner)
        assert newest.article.title == f"{round_} by {came.index(round_ + 1)}"
    assert [line.version for line in desk.versions.list(document_id, store.owner, 10)] == [4, 3, 2, 1]


def test_undone_content_has_its_files_at_once_and_what_looks_the_same_keeps_them(store: Store) -> None:
    desk = Desk(store)
    document_id = desk.made()

    def files() -> dict[str, str]:
        return {one.format: one.id for one in desk.pieces.document(document_id, store.owner).artifacts}

    first = files()
    assert set(first) == {"json", "html", "md"}
    assert desk.renders.order(document_id, store.owner) is None
    figure = PIECE.figures[0]
    alt = PIECE.model_copy(
        update={
            "blocks": tuple(
                block.model_copy(update={"alt": "A harbour."}) if block.id == figure.id else block
                for block in PIECE.blocks
            )
        }
    )
    desk.versions.write(document_id, store.owner, 1, alt)
    assert files() == {}
    ordered = desk.renders.order(document_id, store.owner)
    assert ordered is not None
    claim = store.leases.claim(ordered.job.id, "worker-1", LEASE_S)
    assert claim is not None
    # An edit that comes while it is at work is rendered by the next job, which its end orders.
    title = alt.model_copy(update={"title": "High tide"})
    rendered = desk.versions.newest(document_id, store.owner)
    desk.versions.write(document_id, store.owner, 2, title)
    for format in desk.renders.lacked(rendered):
        file = _file_of(rendered.article, format)
        if not desk.renders.has_same(claim, rendered, format, file.sha256):
            desk.renders.keep(claim, rendered, format, "text/plain", file)
    following = desk.renders.end(claim, rendered, {}, Use())
    assert following is not None
    assert following.is_new
    second = {one.format: one.id for one in desk.pieces.document(document_id, store.owner, 2).artifacts}
    assert second["md"] == first["md"], "the alt text is not in it, so it is the same file"
    assert second["html"] != first["html"]
    assert files() == {}
    assert desk.pieces.document(document_id, store.owner).render_job_id == following.job.id
    desk.versions.undo(document_id, store.owner, 3)
    assert files() == second
    desk.versions.restore(document_id, store.owner, 4, 1)
    assert files() == first
    assert desk.renders.order(document_id, store.owner) is None
    # A job that finds nothing to do any more ends all the same.
    claim = store.leases.claim(following.job.id, "worker-1", LEASE_S)
    assert claim is not None
    desk.rendered(claim, document_id)
    assert store.state(claim) == "succeeded"


def test_a_run_folder_is_free_when_neither_a_document_nor_a_job_needs_it(store: Store) -> None:
    desk = Desk(store)
    document_id = desk.made()
    other = desk.made()
    document = desk.versions.newest(document_id, store.owner)
    assert document.job_id is not None
    assert document.run_id == store.jobs.get(document.job_id, store.owner).run_id
    assert not store.jobs.delete(document.job_id, store.owner).run_is_free
    assert document.run_id is not None
    unowned = Unowned(store.database)
    assert unowned.runs([document.run_id, "j-0123456789abcdef"]) == ["j-0123456789abcdef"], "tidying leaves it, too"
    with pytest.raises(VersionStale):
        delete_document(store.database, document_id, store.owner, 2)
    gone = delete_document(store.database, document_id, store.owner, 1)
    assert gone.free_run_id == document.run_id
    assert unowned.runs([document.run_id]) == [document.run_id]
    with pytest.raises(ObjectUnknown):
        desk.versions.newest(document_id, store.owner)
    # Of a job that succeeded nothing goes on, so the folder is free though its record is there.
    kept = desk.versions.newest(other, store.owner)
    gone = delete_document(store.database, other, store.owner)
    assert gone.free_run_id == kept.run_id
    assert FILE.key in gone.file_keys
    # One that may be tried again needs it.
    claim = store.claimed()
    third = desk.results.keep_document(claim, PIECE, FILE).id
    assert delete_document(store.database, third, store.owner).free_run_id is None
