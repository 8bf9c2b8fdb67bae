"""Service documents: the finished pieces of a service: read, edited by the block, taken back; sync and async."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from interleaf.given_edit import GivenEdit
from interleaf.service import document_calls, document_steps
from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.document_calls import GivenDocument
from interleaf.service.download import MemoryTarget, download_part
from interleaf.service.library_steps import GivenPolicy, policy_of
from interleaf.service.service_job import AsyncJob, Job
from interleaf.service.service_records import (
    Alternatives,
    DiffRecord,
    Document,
    DocumentLine,
    HitRecord,
    Page,
    VersionRecord,
)
from interleaf.service.wire import AsyncWire, Wire

__all__ = ["AsyncDocuments", "Documents"]


class Documents:
    """Finished pieces. What changes one is handed the document as it was read, and says so to the service (If-Match):
    nobody overwrites what somebody else did meanwhile."""

    def __init__(self, wire: Wire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    def get(self, document_id: str, version: int | None = None) -> Document:
        """The newest version with its files, or an earlier one. ObjectUnknown."""
        return self._wire.run(ask(self._calls.get_document(document_id, version), self._retrying))

    def edit(
        self,
        document: DocumentLine,
        edit: GivenEdit,
        *,
        writer: str | None = None,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> Document:
        """Change one block of the version in hand; the new version. A writer's work, or a picture that must be brought,
        is waited for (JobActive when that takes longer than `timeout_s`; it goes on).

        `edit`: of `interleaf.schema.edit`, or its fields, such as `{"op": "rewrite", "block_id": "b-3f"}`. `writer`: in
        place of the one that wrote the piece. VersionStale when somebody changed the document since it was read: read
        it again. BlockUnknown; EditRefused; NothingToSay when the notes hold no other sentence.
        """
        steps = document_steps.edit(
            self._calls, document, edit, timeout_s, writer=writer, idempotency_key=idempotency_key
        )
        return self._wire.run(steps)

    def order_edit(
        self, document: DocumentLine, edit: GivenEdit, *, writer: str | None = None, idempotency_key: str | None = None
    ) -> Document | Job:
        """As `edit`, and nothing is waited for: the new version where it was made at once, else the job that makes
        it."""
        call = document_calls.edit_document(document, edit, writer=writer, idempotency_key=idempotency_key)
        made = self._wire.run(ask(call, self._retrying))
        return made if isinstance(made, Document) else Job(self._wire, self._calls, made)

    def undo(self, document: DocumentLine, *, idempotency_key: str | None = None) -> Document:
        """Undo the last step of the version in hand. EditRefused when there is none; VersionStale."""
        call = document_calls.undo_edit(document, idempotency_key=idempotency_key)
        return self._wire.run(ask(call, self._retrying))

    def redo(self, document: DocumentLine, *, idempotency_key: str | None = None) -> Document:
        """Take an undo back. EditRefused when nothing was undone since the last edit; VersionStale."""
        call = document_calls.redo_edit(document, idempotency_key=idempotency_key)
        return self._wire.run(ask(call, self._retrying))

    def restore(self, document: DocumentLine, version: int, *, idempotency_key: str | None = None) -> Document:
        """Make an earlier version the newest. VersionStale; ObjectUnknown when there is no such version."""
        call = document_calls.restore_version(document, version, idempotency_key=idempotency_key)
        return self._wire.run(ask(call, self._retrying))

    def versions(
        self, document: GivenDocument, *, limit: int | None = None, after: int | None = None, before: int | None = None
    ) -> Page[VersionRecord]:
        """One page of its versions, newest first: how each came about."""
        call = document_calls.list_versions(document, limit=limit, after=after, before=before)
        return self._wire.run(ask(call, self._retrying))

    def version(self, document: GivenDocument, version: int) -> Document:
        """One version as it was, with its files."""
        return self._wire.run(ask(document_calls.get_version(document, version), self._retrying))

    def diff(
        self, document: GivenDocument, from_version: int | None = None, to_version: int | None = None
    ) -> DiffRecord:
        """What changed between two versions; if left out, between the newest and the one before."""
        return self._wire.run(ask(document_calls.diff_versions(document, from_version, to_version), self._retrying))

    def alternatives(self, document: GivenDocument, block_id: str) -> Alternatives:
        """What else was considered for a figure. BlockUnknown; EditRefused when the block is none."""
        return self._wire.run(ask(document_calls.get_alternatives(document, block_id), self._retrying))

    def search(
        self,
        document: GivenDocument,
        block_id: str,
        text: str = "",
        *,
        libraries: Sequence[str] | None = None,
        k: int | None = None,
        licence_policy: GivenPolicy = None,
    ) -> tuple[HitRecord, ...]:
        """Pictures for the place of a block, best first: by the words around it and, if given, by `text`; in the
        libraries that the piece's brief named, or in these."""
        call = document_calls.search_for_place(
            document, block_id, text=text, libraries=libraries, k=k, licence_policy=policy_of(licence_policy)
        )
        return self._wire.run(ask(call, self._retrying)).hits

    def read_picture(self, document: GivenDocument, picture_id: str) -> bytes:
        """The bytes of a picture that the document shows or has as an alternative."""
        target = MemoryTarget()
        part = partial(document_calls.get_document_picture, document, picture_id)
        self._wire.run(download_part(self._retrying, f"picture {picture_id}", part, target))
        return bytes(target.content)

    def render(self, document: GivenDocument) -> Document:
        """Have files made that the newest version lacks: `render_job_id` names the job, None when none is missing."""
        return self._wire.run(ask(document_calls.render_document(document), self._retrying))

    def rendered(self, document: GivenDocument, timeout_s: float | None = None) -> Document:
        """The newest version, when its files are made. JobActive when that takes longer than `timeout_s`."""
        return self._wire.run(document_steps.rendered(self._calls, document, timeout_s))

    def delete(self, document: GivenDocument) -> None:
        """Remove it with its versions and files. Given as it was read, only if it is still that version
        (VersionStale)."""
        self._wire.run(ask(document_calls.delete_document(document), self._retrying))

    def list(self, *, limit: int | None = None, after: str | None = None) -> Page[DocumentLine]:
        """One page, newest first."""
        return self._wire.run(ask(self._calls.list_documents(limit=limit, after=after), self._retrying))


class AsyncDocuments:
    """Finished pieces. What changes one is handed the document as it was read, and says so to the service (If-Match):
    nobody overwrites what somebody else did meanwhile."""

    def __init__(self, wire: AsyncWire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    async def get(self, document_id: str, version: int | None = None) -> Document:
        """The newest version with its files, or an earlier one. ObjectUnknown."""
        return await self._wire.run(ask(self._calls.get_document(document_id, version), self._retrying))

    async def edit(
        self,
        document: DocumentLine,
        edit: GivenEdit,
        *,
        writer: str | None = None,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> Document:
        """Change one block of the version in hand; the new version. A writer's work, or a picture that must be brought,
        is waited for (JobActive when that takes longer than `timeout_s`; it goes on).

        `edit`: of `interleaf.schema.edit`, or its fields, such as `{"op": "rewrite", "block_id": "b-3f"}`. `writer`: in
        place of the one that wrote the piece. VersionStale when somebody changed the document since it was read: read
        it again. BlockUnknown; EditRefused; NothingToSay when the notes hold no other sentence.
        """
        steps = document_steps.edit(
            self._calls, document, edit, timeout_s, writer=writer, idempotency_key=idempotency_key
        )
        return await self._wire.run(steps)

    async def order_edit(
        self, document: DocumentLine, edit: GivenEdit, *, writer: str | None = None, idempotency_key: str | None = None
    ) -> Document | AsyncJob:
        """As `edit`, and nothing is waited for: the new version where it was made at once, else the job that makes
        it."""
        call = document_calls.edit_document(document, edit, writer=writer, idempotency_key=idempotency_key)
        made = await self._wire.run(ask(call, self._retrying))
        return made if isinstance(made, Document) else AsyncJob(self._wire, self._calls, made)

    async def undo(self, document: DocumentLine, *, idempotency_key: str | None = None) -> Document:
        """Undo the last step of the version in hand. EditRefused when there is none; VersionStale."""
        call = document_calls.undo_edit(document, idempotency_key=idempotency_key)
        return await self._wire.run(ask(call, self._retrying))

    async def redo(self, document: DocumentLine, *, idempotency_key: str | None = None) -> Document:
        """Take an undo back. EditRefused when nothing was undone since the last edit; VersionStale."""
        call = document_calls.redo_edit(document, idempotency_key=idempotency_key)
        return await self._wire.run(ask(call, self._retrying))

    async def restore(self, document: DocumentLine, version: int, *, idempotency_key: str | None = None) -> Document:
        """Make an earlier version the newest. VersionStale; ObjectUnknown when there is no such version."""
        call = document_calls.restore_version(document, version, idempotency_key=idempotency_key)
        return await self._wire.run(ask(call, self._retrying))

    async def versions(
        self, document: GivenDocument, *, limit: int | None = None, after: int | None = None, before: int | None = None
    ) -> Page[VersionRecord]:
        """One page of its versions, newest first: how each came about."""
        call = document_calls.list_versions(document, limit=limit, after=after, before=before)
        return await self._wire.run(ask(call, self._retrying))

    async def version(self, document: GivenDocument, version: int) -> Document:
        """One version as it was, with its files."""
        return await self._wire.run(ask(document_calls.get_version(document, version), self._retrying))

    async def diff(
        self, document: GivenDocument, from_version: int | None = None, to_version: int | None = None
    ) -> DiffRecord:
        """What changed between two versions; if left out, between the newest and the one before."""
        return await self._wire.run(
            ask(document_calls.diff_versions(document, from_version, to_version), self._retrying)
        )

    async def alternatives(self, document: GivenDocument, block_id: str) -> Alternatives:
        """What else was considered for a figure. BlockUnknown; EditRefused when the block is none."""
        return await self._wire.run(ask(document_calls.get_alternatives(document, block_id), self._retrying))

    async def search(
        self,
        document: GivenDocument,
        block_id: str,
        text: str = "",
        *,
        libraries: Sequence[str] | None = None,
        k: int | None = None,
        licence_policy: GivenPolicy = None,
    ) -> tuple[HitRecord, ...]:
        """Pictures for the place of a block, best first: by the words around it and, if given, by `text`; in the
        libraries that the piece's brief named, or in these."""
        call = document_calls.search_for_place(
            document, block_id, text=text, libraries=libraries, k=k, licence_policy=policy_of(licence_policy)
        )
        return (await self._wire.run(ask(call, self._retrying))).hits

    async def read_picture(self, document: GivenDocument, picture_id: str) -> bytes:
        """The bytes of a picture that the document shows or has as an alternative."""
        target = MemoryTarget()
        part = partial(document_calls.get_document_picture, document, picture_id)
        await self._wire.run(download_part(self._retrying, f"picture {picture_id}", part, target))
        return bytes(target.content)

    async def render(self, document: GivenDocument) -> Document:
        """Have files made that the newest version lacks: `render_job_id` names the job, None when none is missing."""
        return await self._wire.run(ask(document_calls.render_document(document), self._retrying))

    async def rendered(self, document: GivenDocument, timeout_s: float | None = None) -> Document:
        """The newest version, when its files are made. JobActive when that takes longer than `timeout_s`."""
        return await self._wire.run(document_steps.rendered(self._calls, document, timeout_s))

    async def delete(self, document: GivenDocument) -> None:
        """Remove it with its versions and files. Given as it was read, only if it is still that version
        (VersionStale)."""
        await self._wire.run(ask(document_calls.delete_document(document), self._retrying))

    async def list(self, *, limit: int | None = None, after: str | None = None) -> Page[DocumentLine]:
        """One page, newest first."""
        return await self._wire.run(ask(self._calls.list_documents(limit=limit, after=after), self._retrying))
