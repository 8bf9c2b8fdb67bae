"""Edit run: one claimed edit of a document from its claim to its end: by a writer, or with a picture that is brought.

The new version, the order for its files and the end of the job are one transaction: there is all of it, or nothing; and
nothing, too, when the document is no longer at the version that was to be edited.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from typing import Any, Final

from agents.context import Embedder
from agents.editing.changed import Written, needs_picture, needs_writer
from agents.editing.recounting import edited
from agents.editing.rewriting import WriterEdit, written
from interleaf.errors import (
    EditRefused,
    ServiceAway,
)
from interleaf.schema import Picture
from interleaf.schema.edit import InsertPicture, SwapPicture
from workers.queue.claimed_run import ClaimedRun
from workers.queue.dispatch import Dispatcher
from workers.queue.lease_keeper import LeaseKeeper
from workers.run.edit_picture import named_picture, taken_picture
from workers.run.intake import Material, read_material
from workers.run.kept_pictures import keep_pictures
from workers.run.picture_shelf import PictureShelf
from workers.run.run_folder import RunFolder
from workers.settings import Settings
from workers.store.document_versions import EditedDocument, stale
from workers.store.edit_order import EditOrder
from workers.store.job import Claim
from workers.store.job_store import JobStore
from workers.wiring import edit_context, make_embedder

__all__ = ["EditRun"]


WAIT_S: Final = 0.2


class EditRun(ClaimedRun):
    """Carries out the edit of a claimed job and stops as told. `embedder`: in place of one that would be loaded."""

    what = "edit"

    def __init__(
        self,
        store: JobStore,
        keeper: LeaseKeeper,
        dispatcher: Dispatcher,
        claim: Claim,
        *,
        embedder: Embedder | None = None,
    ) -> None:
        super().__init__(store, keeper, claim)
        self._dispatcher, self._embedder = dispatcher, embedder
        # What was sent lies here until it is taken in.
        self._aside = RunFolder.at(store.settings.runs_dir, claim.job.run_id).path

    def _work(self) -> bool:
        try:
            order = EditOrder.model_validate(self._insist(lambda: self._store.results.brief(self._claim.job_id)))
            self._note("stage.started", {"op": order.edit.op}, stage="edit")
            document = self._insist(
                lambda: self._store.document_versions.newest(order.document_id, self._claim.job.owner)
            )
            if document.version != order.version:
                raise stale(document.id, order.version, document.version)
            self._end(order, document)
            return False
        finally:
            if self._watch.reason != "lost":
                shutil.rmtree(self._aside, ignore_errors=True)

    # The parts of the work

    def _end(self, order: EditOrder, document: EditedDocument) -> None:
        folder = None
        if document.run_id is not None:
            folder = RunFolder.at(self._store.settings.runs_dir, document.run_id)
        material = read_material(folder) if folder is not None else None
        brought: dict[str, Any] = {"sources": None if material is None else material.sources}
        if needs_writer(order.edit):
            brought["written"] = self._written(order, document, folder, material)
        if needs_picture(order.edit):
            brought["picture"] = self._picture(order, document, folder, material)
        new = edited(document.article, order.edit, order.version, **brought)
        if folder is not None and "picture" in brought:
            keep_pictures(new, folder, self._store.settings.libraries_dir / document.owner)
        self._go_on()
        self._keeper.let_go(self._watch)
        use = self._watch.take_use()

        def end() -> str | None:
            store = self._store
            with store.database.transaction():
                version = store.document_versions.write(
                    document.id,
                    document.owner,
                    order.version,
                    new,
                    edit=order.edit.model_dump(mode="json"),
                    job_id=self._claim.job_id,
                )
                ordered = store.document_renders.order(document.id, document.owner)
                told = {"version": version, "render_job_id": None if ordered is None else ordered.job.id}
                result = {"document_id": document.id, "report": told}
                store.leases.note(self._claim, "document.edited", {"document_id": document.id, "version": version})
                store.leases.finish(self._claim, "succeeded", result=result, used=use)
                return ordered.job.id if ordered is not None and ordered.is_new else None

        render_job_id = self._insist(end)
        if render_job_id is not None:
            with suppress(ServiceAway):  # it is in the outbox
                self._dispatcher.deliver(render_job_id)

    def _written(
        self, order: EditOrder, document: EditedDocument, folder: RunFolder | None, material: Material | None
    ) -> Written:
        settings: Settings = self._store.settings
        embedder = self._embedder or make_embedder(settings)
        shelf = PictureShelf(folder, settings.libraries_dir / document.owner)
        context = edit_context(
            order.writer,
            embedder,
            () if material is None else material.sources,
            settings,
            pixels=shelf.path,
            canceled=self._watch.canceled,
            spent=self._watch.spend,
        )
        self._go_on()
        assert isinstance(order.edit, WriterEdit)
        return written(document.article, order.edit, context, embedder, document.article.run.seed)

    def _picture(
        self, order: EditOrder, document: EditedDocument, folder: RunFolder | None, material: Material | None
    ) -> Picture:
        assert isinstance(order.edit, SwapPicture | InsertPicture)
        if order.edit.upload_id is not None:
            path, name = self._sent(order.edit.upload_id, "upload_id", self._aside)
            if folder is None:
                raise EditRefused("upload_id", "this document keeps no pictures of its own.", "Use one of a library.")
            return taken_picture(path, name, folder, self._wait)
        assert order.edit.picture_id is not None
        libraries = self._insist(lambda: self._store.libraries.all_of(document.owner))
        names = {library.id: library.name for library in libraries}
        found = named_picture(
            order.edit.picture_id,
            document.article,
            folder,
            material,
            self._store.settings.libraries_dir / document.owner,
            names,
        )
        # A piece names libraries as people do.
        return found.model_copy(update={"collection": names.get(found.collection, found.collection)})

    def _wait(self) -> None:
        self._go_on()
        time.sleep(WAIT_S)
