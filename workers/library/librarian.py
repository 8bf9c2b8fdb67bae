"""Librarian: answers those who wait (searches, single pictures to remove), and removes what was deleted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import select

from interleaf.errors import (
    ArtifactMissing,
    InterleafError,
    LibraryBusy,
    ObjectUnknown,
    PictureMissing,
    PictureUnreadable,
    RetrievalError,
    ServiceAway,
)
from interleaf.schema import PictureFilter, PictureHit, PictureQuery
from retrieval.pictures.decode import MAX_FILE_BYTES
from retrieval.reading import PictureReader
from workers.library.open_libraries import OpenLibraries
from workers.store.artifacts import ArtifactStore
from workers.store.database import Database
from workers.store.libraries import Libraries
from workers.store.library_requests import LibraryRequest, LibraryRequests
from workers.store.tables import UploadRow

__all__ = ["Librarian"]

T = TypeVar("T")
log = logging.getLogger(__name__)

# How long somebody who waits is kept waiting for a library that another is changing.
PATIENCE_S: Final = 5.0
PAUSE_S: Final = 0.1


class Librarian:
    """Over the open libraries of one process. Threads may share it."""

    def __init__(
        self,
        opened: OpenLibraries,
        libraries: Libraries,
        requests: LibraryRequests,
        database: Database,
        artifacts: Callable[[], ArtifactStore],
    ) -> None:
        """`artifacts` gives the file store: it is opened at the first search by a picture."""
        self._opened = opened
        self._libraries = libraries
        self._requests = requests
        self._database = database
        self._artifacts = artifacts

    def answer(self, request_id: str) -> bool:
        """Answer a question, if it is still open; whether it was. What goes wrong is the answer."""
        request = self._requests.take(request_id)
        if request is None:
            return False
        try:
            given = self._search(request) if request.kind == "search" else self._remove(request)
        except InterleafError as error:
            if not isinstance(error, ServiceAway):
                log.info("request %s: %s", request_id, error)
            self._requests.refuse(request_id, error)
        except Exception as error:
            log.exception("request %s", request_id)
            wrong = f"stopped at an error of this program ({type(error).__name__})."
            self._requests.refuse(request_id, RetrievalError(request.kind, wrong, "Please report it."))
        else:
            self._requests.give(request_id, given)
        return True

    def sweep(self, library_id: str, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Remove the pictures of a deleted library, and then its row; whether it is done. When another process changes
        the folder, or `stopped()` says so, the rest is left to the next time."""
        library = self._libraries.standing(library_id)
        if library is None or library.deleted_at is None:
            return True

        def go_on(done: int) -> None:
            if stopped():
                raise LibraryBusy(library_id, f"{done} pictures are removed; the worker ends.", "")

        try:
            with self._opened.borrowed(library.owner) as shelf:
                shelf.remove_collection(library_id, go_on)
        except LibraryBusy as error:
            log.info("library %s is swept later: %s", library_id, error)
            return False
        self._libraries.forget(library_id)
        return True

    def recount(self, library_id: str, owner: str, *, encoded: bool = False) -> None:
        """Write down what the library holds now; `encoded`: its words are encoded with our weights."""
        with self._opened.borrowed(owner) as shelf, PictureReader(shelf.root) as reader:
            totals = reader.totals(library_id)
        self._libraries.record(library_id, *totals, encoder=self._opened.encoder if encoded else None)

    def _search(self, request: LibraryRequest) -> dict[str, Any]:
        asked = request.asked
        where = PictureFilter.model_validate({**asked["where"], "collections": [request.library_id]})
        k = int(asked["k"])
        with self._opened.borrowed(request.owner) as shelf:
            if asked.get("upload") is not None:
                hits = shelf.search_like(*self._picture(request.owner, asked["upload"]), k, where)
            else:
                # Words, or what stands around a place of a piece.
                query = PictureQuery.model_validate(asked.get("query") or {"text": asked["text"]})
                hits = shelf.search([query], k, where)[0]
        return {"hits": [_told(hit) for hit in hits]}

    def _picture(self, owner: str, upload_id: str) -> tuple[bytes, str]:
        """The bytes of an upload, and what its sender calls it."""
        with self._database.reading() as session:
            row = session.scalars(
                select(UploadRow).where(UploadRow.id == upload_id, UploadRow.owner == owner)
            ).one_or_none()
        if row is None:
            raise ObjectUnknown(upload_id, "there is no such upload of yours.", "Send the picture again.")
        if row.bytes > MAX_FILE_BYTES or not row.media_type.startswith("image/"):
            raise PictureUnreadable(
                row.name,
                f"it is {row.media_type} of {row.bytes} bytes.",
                f"Send one picture of up to {MAX_FILE_BYTES}.",
            )
        try:
            return self._artifacts().read_all(row.file_key), row.name
        except ArtifactMissing as error:
            raise ObjectUnknown(upload_id, "is not there any more.", "Send the picture again.") from error

    def _remove(self, request: LibraryRequest) -> dict[str, Any]:
        picture_id = str(request.asked["picture_id"])
        with self._opened.borrowed(request.owner) as shelf:
            if request.library_id not in shelf.collections_of(picture_id):
                raise PictureMissing(picture_id, "is not in this library.", "List its pictures.")
            _patiently(lambda: shelf.remove([picture_id], request.library_id))
        self.recount(request.library_id, request.owner)
        return {"removed": picture_id}


def _patiently(change: Callable[[], T]) -> T:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return change()
        except LibraryBusy:
            if time.monotonic() >= until:
                raise
            time.sleep(PAUSE_S)


def _told(hit: PictureHit) -> dict[str, Any]:
    return hit.model_dump(mode="json")
