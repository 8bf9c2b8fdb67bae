"""Job run: one claimed job from its claim to the moment that this worker lets go of it, whatever happens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from agents.context import Writer
from interleaf.errors import (
    BudgetSpent,
    CompositionFailed,
    PictureMissing,
    RunBusy,
    RunCanceled,
    ServiceAway,
)
from interleaf.schema import Article, Brief, Budget, Event, Notice
from workers.composing import Composing
from workers.queue.claimed_run import ClaimedRun
from workers.queue.dispatch import Dispatcher
from workers.queue.job_notes import JobNotes
from workers.queue.lease_keeper import LeaseKeeper
from workers.queue.render_order import RenderOrder
from workers.queue.rendering import article_json, store_file, wanted_formats
from workers.run.given_files import bring_given
from workers.run.kept_pictures import keep_pictures
from workers.run.picture_shelf import PictureShelf
from workers.run.run_folder import RunFolder
from workers.run.takeover import take_over
from workers.settings import Settings
from workers.store.job import Claim
from workers.store.job_store import JobStore
from workers.store.leases import Note
from workers.store.reruns import COMPARED, Rerun, compared
from workers.store.results import LIMIT_CODES, JobDocument

__all__ = ["JobRun"]

log = logging.getLogger(__name__)

T = TypeVar("T")
# Progress is a note of where the work is; a reader does not see more than a few of them in a second.
PROGRESS_S = 0.25
_NAME_OF_KIND = {"run_started": "run.started", "stage_started": "stage.started", "stage_finished": "stage.completed"}
# What a step made that has an event of its own.
_NAME_OF_PART = {"outline": "outline.ready", "candidates": "image.candidates", "pictures": "image.selected"}


class JobRun(ClaimedRun):
    """Composes the piece of a claimed job, asks and stops as told, and hands a finished piece over to be rendered.

    `writer` and `library_dir` stand in for what the brief and the settings name (for tests and for embedding).
    """

    what = "job"

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        dispatcher: Dispatcher,
        claim: Claim,
        *,
        writer: Writer | None = None,
        library_dir: Path | None = None,
    ) -> None:
        super().__init__(store, keeper, claim)
        self._dispatcher, self._writer = dispatcher, writer
        # What a job finds are the pictures of its owner, and nobody else's.
        self._library_dir = library_dir or store.settings.libraries_dir / claim.job.owner
        self._folder = RunFolder.at(store.settings.runs_dir, claim.job.run_id)
        self._notes = JobNotes(store.database, store.leases, self._watch)
        self._progress_at = 0.0

    def _work(self) -> bool:
        document, asked = self._insist(self._read)
        brief = Brief.model_validate(asked)
        self._watch.limit(_limits(brief.budget, self._store.settings))
        article = None
        if document is None:
            article = self._composed(brief)
            if article is None:
                return False
        return self._rendering(brief, asked, document, article)

    def _read(self) -> tuple[JobDocument | None, Mapping[str, Any]]:
        """The document, if an earlier attempt kept it, and what was asked."""
        results, job_id = self._store.results, self._claim.job_id
        with self._store.database.reading():
            # Nobody has been at work on it before the first attempt.
            document = results.document_of(job_id) if self._claim.attempt > 1 else None
            return document, results.brief(job_id)

    def _composed(self, brief: Brief) -> Article | None:
        """The finished piece; None when the job was asked about, ended or let go."""
        composing = Composing(
            self._folder,
            self._store.settings,
            library_dir=self._library_dir,
            writer=self._writer,
            called=self._library_names(brief),
            canceled=self._watch.canceled,
            spent=self._watch.spend,
        )
        try:
            self._stream(composing, brief)
        except RunBusy:
            # The lease is ours, so who holds the folder is a worker that hangs and was given up.
            take_over(self._folder)
            self._stream(composing, brief)
        if composing.question is not None:
            self._ask(brief, composing.question)
            return None
        return composing.article or self._stopped(composing)

    def _stream(self, composing: Composing, brief: Brief) -> None:
        job = self._claim.job
        if self._folder.exists:
            # A retry's brief is the first job's; the paths in it were made absolute then.
            events = composing.stream(answer=job.answer, asked=job.question if job.answer is not None else None)
        else:
            given = bring_given(
                brief,
                job.owner,
                self._store.database,
                self._store.artifacts,
                self._folder.path / "uploads",
                max_notes_bytes=(self._store.settings.max_source_mb + self._store.settings.max_upload_mb) * 2**20,
            )
            given = given.model_copy(update={"libraries": self._collections(brief)})
            events = composing.stream(given, Path("/"))
        for event in events:
            self._tell(event)

    def _collections(self, brief: Brief) -> tuple[str, ...]:
        """The collections of the owner's folder that the brief's libraries are; one without pictures has none there.
        InvalidBrief when a library was deleted meanwhile."""
        named = self._store.libraries.resolve(self._claim.job.owner, brief.libraries) if brief.libraries else ()
        return tuple(dict.fromkeys(library.id for library in named if library.picture_count))

    def _library_names(self, brief: Brief) -> dict[str, str]:
        """What the owner calls the collections: a piece names libraries as people do."""
        if not brief.libraries:
            return {}
        owner = self._claim.job.owner
        return self._insist(lambda: {library.id: library.name for library in self._store.libraries.all_of(owner)})

    def _tell(self, event: Event) -> None:
        """Write an event of the run into the job; what the job says by itself (asked, ended) is left out."""
        if event.kind == "progress":
            now = time.monotonic()
            if now - self._progress_at < PROGRESS_S:
                return
            self._progress_at = now
            name = "stage.progress"
        elif event.kind in _NAME_OF_KIND:
            name = _NAME_OF_KIND[event.kind]
        else:
            return
        parts = {part: event.data[part] for part in _NAME_OF_PART if part in event.data}
        blocks = event.data.get("blocks", ())
        self._notes.add(
            Note(
                name,
                self._store.clock(),
                {key: value for key, value in event.data.items() if key not in parts and key != "blocks"},
                stage=event.stage,
                share_done=event.share_done,
                message=event.message or None,
            )
        )
        for block in blocks:
            self._add_note("block.completed", block)
        for part, made in parts.items():
            self._add_note(_NAME_OF_PART[part], {part: made})
        for limit, used, most in self._watch.nearly_spent():
            self._add_note("budget.warning", {"limit": limit, "used": used, "most": most})

    def _add_note(self, name: str, data: dict[str, object]) -> None:
        self._notes.add(Note(name, self._store.clock(), data))

    def _ask(self, brief: Brief, question: dict[str, object]) -> None:
        timeout_s = brief.approvals.timeout_s
        self._keeper.let_go(self._watch)
        use = self._watch.take_use()
        try:
            self._write(
                lambda: self._store.leases.ask(
                    self._claim,
                    question,
                    None if timeout_s is None else self._store.clock() + timedelta(seconds=timeout_s),
                    brief.approvals.on_timeout,
                    use,
                )
            )
        except RunCanceled:
            self._write(lambda: self._store.leases.finish(self._claim, "canceled", used=use))

    def _stopped(self, composing: Composing) -> Article | None:
        """What there is to keep of a run that was stopped, if a limit stopped it; else the job is ended or let go."""
        reason = self._watch.reason
        if reason in ("seconds", "tokens"):
            notice = Notice(code=LIMIT_CODES[reason], message=f"the job's limit of {reason} was reached before the end")
            article = composing.salvaged(notice)
            if article is not None:
                return article
            raise BudgetSpent(
                f"budget.{reason}", "was used up before there was any text.", "Raise it, then retry the job."
            )
        if reason is None:
            raise CompositionFailed("run", "ended without an article.", "Please report it.")
        self._stop()
        return None

    def _rendering(
        self, brief: Brief, asked: Mapping[str, Any], document: JobDocument | None, article: Article | None
    ) -> bool:
        """Keep a new piece, and send the formats out. This worker keeps the lease until the last of them is there, and
        is free meanwhile."""
        store, claim, wanted = self._store, self._claim, wanted_formats(brief)
        file = rerun = None
        if article is not None:
            keep_pictures(article, self._folder, self._library_dir)
            rerun = self._compared(brief, article)
            file = store_file(store, claim.job, article_json(article))
        self._watch.end()
        use = self._watch.take_use()
        again = False

        def begin(notes: tuple[Note, ...]) -> bool:
            """Whether nothing is left to be made."""
            nonlocal again
            if again and article is not None and store.results.document_of(claim.job_id) is not None:
                # It had been kept, and only the answer to that was lost.
                return store.results.settle(claim, wanted) is not None
            again = True
            then = [] if rerun is None else [Note(COMPARED, store.clock(), rerun.written())]
            then.append(Note("stage.started", store.clock(), stage="render"))
            if article is not None and file is not None:
                ended = store.results.keep_piece(
                    claim, article, file, wanted, asked=asked, notes=notes, then=then, used=use
                )
            else:
                assert document is not None
                store.leases.tell(claim, (*notes, *then), use)
                ended = store.results.settle(claim, wanted)
            return ended is not None

        if self._insist(lambda: self._notes.handing_over(begin)):
            return False
        order = RenderOrder(self._store, self._dispatcher, self._keeper, self._watch, wanted)
        self._keeper.keep(self._watch, order.carry_on)
        try:
            order.carry_on()
        except ServiceAway as error:
            log.warning("formats of job %s are sent later: %s", self._claim.job_id, error)
        return True

    def _compared(self, brief: Brief, article: Article) -> Rerun | None:
        """What is not as it was for the job that this one does anew; None when it does none anew."""
        earlier = self._insist(lambda: self._store.reruns.earlier(self._claim.job))
        if earlier is None:
            return None
        shelf = PictureShelf(self._folder, self._library_dir)
        gone = []
        for picture in earlier.shown:
            try:
                shelf.path(picture.id)
            except PictureMissing:
                gone.append(picture)
        return compared(earlier, brief, article.run, gone)

    def _write(self, write: Callable[[], T]) -> T:
        """Do it in one transaction with the notes that wait, however long the store is away."""
        return self._insist(lambda: self._notes.with_those(write))


def _limits(asked: Budget, chosen: Settings) -> Budget:
    """What the brief allows, and never more than the service gives to one job."""
    return Budget(
        seconds=min(asked.seconds or chosen.job_seconds, chosen.job_seconds),
        tokens=min(asked.tokens or chosen.job_tokens, chosen.job_tokens),
    )
