"""Files run: one claimed job that makes the files of an edited document, format after format; what looks the same as in
an earlier version keeps that version's file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Final, TypeVar

from interleaf.errors import CompositionFailed, InterleafError, LeaseLost, RunCanceled, ServiceAway
from workers.queue.dispatch import Dispatcher
from workers.queue.lease_keeper import LeaseKeeper
from workers.queue.rendering import JSON_TYPE, article_json, rendered, store_file
from workers.queue.watch import Watch
from workers.run.run_folder import RunFolder
from workers.store.document_renders import OrderedRender
from workers.store.document_versions import EditedDocument
from workers.store.edit_order import FilesOrder
from workers.store.job import Claim
from workers.store.job_store import JobStore

__all__ = ["FilesRun"]

log = logging.getLogger(__name__)

T = TypeVar("T")
RETRY_S: Final = 0.5


class FilesRun:
    """Makes what the newest version lacks when it begins. Where the document is edited meanwhile, another job is
    ordered at its end."""

    def __init__(self, store: JobStore, keeper: LeaseKeeper, dispatcher: Dispatcher, claim: Claim) -> None:
        self._store, self._keeper, self._dispatcher, self._claim = store, keeper, dispatcher, claim
        self._watch = Watch(claim, renew=keeper.renew)

    def run(self) -> None:
        """From the claim to the end. Raises nothing of interleaf: what went wrong stands in the job, or the job is
        another's now, or the store is away and the lease runs out."""
        self._keeper.keep(self._watch)
        try:
            self._work()
        except LeaseLost as error:
            log.info("%s", error)
        except ServiceAway as error:
            log.warning("job %s is left to the reconciler: %s", self._claim.job_id, error)
        finally:
            self._keeper.let_go(self._watch)

    def _work(self) -> None:
        try:
            brief = self._insist(lambda: self._store.results.brief(self._claim.job_id))
            order = FilesOrder.model_validate(brief)
            document = self._insist(
                lambda: self._store.document_versions.newest(order.document_id, self._claim.job.owner)
            )
            failed: dict[str, InterleafError] = {}
            for format in self._insist(lambda: self._store.document_renders.lacked(document)):
                self._go_on(format)
                try:
                    self._make(document, format)
                except (LeaseLost, ServiceAway, RunCanceled):
                    raise
                except InterleafError as error:
                    failed[format] = error
            self._end(document, failed)
        except (LeaseLost, ServiceAway):
            raise
        except RunCanceled:
            self._stopped()
        except InterleafError as error:
            self._fail(error)
        except Exception as error:
            log.exception("job %s", self._claim.job_id)
            wrong = f"stopped at an error of this program ({type(error).__name__})."
            self._fail(CompositionFailed("files", wrong, "Please report it."))

    def _make(self, document: EditedDocument, format: str) -> None:
        store, claim = self._store, self._claim
        if format == "json":
            content, media_type = article_json(document.article), JSON_TYPE
        else:
            folder = None if document.run_id is None else RunFolder.at(store.settings.runs_dir, document.run_id)
            content, media_type = rendered(store, folder, claim.job, document.article, format, document.theme)
        digest = sha256(content).hexdigest()
        if self._insist(lambda: store.document_renders.has_same(claim, document, format, digest)):
            return
        file = self._insist(lambda: store_file(store, claim.job, content))
        self._insist(lambda: store.document_renders.keep(claim, document, format, media_type, file))

    def _end(self, document: EditedDocument, failed: dict[str, InterleafError]) -> None:
        self._keeper.let_go(self._watch)
        use = self._watch.take_use()
        following: OrderedRender | None = self._insist(
            lambda: self._store.document_renders.end(self._claim, document, failed, use)
        )
        if following is not None and following.is_new:
            with suppress(ServiceAway):  # it is in the outbox
                self._dispatcher.deliver(following.job.id)

    def _go_on(self, format: str) -> None:
        note = partial(self._store.leases.note, self._claim, "stage.progress", stage="render", message=format)
        if self._insist(note) == "cancel":
            self._watch.stop("canceled")
        if self._watch.canceled():
            raise RunCanceled(self._claim.job_id, f"was stopped ({self._watch.reason}).")

    def _stopped(self) -> None:
        leases, claim, reason = self._store.leases, self._claim, self._watch.reason
        if reason == "lost":
            raise LeaseLost(claim.job_id, "another worker has it.", "")
        self._keeper.let_go(self._watch)
        use = self._watch.take_use()
        if reason == "released":
            self._insist(lambda: leases.release(claim, use))
        else:
            self._insist(lambda: leases.finish(claim, "canceled", used=use))

    def _fail(self, error: InterleafError) -> None:
        self._keeper.let_go(self._watch)
        use = self._watch.take_use()
        self._insist(lambda: self._store.leases.finish(self._claim, "failed", error=error, used=use))

    def _insist(self, write: Callable[[], T]) -> T:
        """Do it, however long the store is away; not when this worker ends."""
        while True:
            try:
                return write()
            except ServiceAway:
                if self._watch.reason in ("lost", "released"):
                    raise
                time.sleep(RETRY_S)
