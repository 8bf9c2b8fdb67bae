"""Files run: one claimed job that makes the files of an edited document, format after format; what looks the same as in
an earlier version keeps that version's file."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

from interleaf.errors import InterleafError, LeaseLost, RunCanceled, ServiceAway
from workers.queue.claimed_run import ClaimedRun
from workers.queue.dispatch import Dispatcher
from workers.queue.lease_keeper import LeaseKeeper
from workers.queue.rendering import JSON_TYPE, article_json, rendered, store_file
from workers.run.run_folder import RunFolder
from workers.store.document_renders import OrderedRender
from workers.store.document_versions import EditedDocument
from workers.store.edit_order import FilesOrder
from workers.store.job import Claim
from workers.store.job_store import JobStore

__all__ = ["FilesRun"]


class FilesRun(ClaimedRun):
    """Makes what the newest version lacks when it begins. Where the document is edited meanwhile, another job is
    ordered at its end."""

    what = "files"

    def __init__(self, store: JobStore, keeper: LeaseKeeper, dispatcher: Dispatcher, claim: Claim) -> None:
        super().__init__(store, keeper, claim)
        self._dispatcher = dispatcher

    def _work(self) -> bool:
        brief = self._insist(lambda: self._store.results.brief(self._claim.job_id))
        order = FilesOrder.model_validate(brief)
        document = self._insist(lambda: self._store.document_versions.newest(order.document_id, self._claim.job.owner))
        failed: dict[str, InterleafError] = {}
        for format in self._insist(lambda: self._store.document_renders.lacked(document)):
            self._note("stage.progress", stage="render", message=format)
            self._go_on()
            try:
                self._make(document, format)
            except (LeaseLost, ServiceAway, RunCanceled):
                raise
            except InterleafError as error:
                failed[format] = error
        self._end(document, failed)
        return False

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
