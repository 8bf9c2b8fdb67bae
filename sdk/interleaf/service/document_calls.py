"""Document calls: every operation on documents as a value: what is sent, and how the answer is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interleaf.errors import InterleafError, ObjectUnknown
from interleaf.given_edit import GivenEdit, edit_of
from interleaf.schema import LicencePolicy
from interleaf.service.call import Call, Settled, reads
from interleaf.service.calls import as_json, nothing, object_path, pairs
from interleaf.service.library_calls import ANSWER_S
from interleaf.service.service_records import (
    Alternatives,
    DiffRecord,
    Document,
    DocumentLine,
    HitList,
    JobRecord,
    Page,
    VersionRecord,
)
from interleaf.service.steps import Answer, Sending, Steps

__all__ = [
    "GivenDocument",
    "delete_document",
    "diff_versions",
    "edit_document",
    "get_alternatives",
    "get_document_picture",
    "get_version",
    "id_of",
    "list_versions",
    "redo_edit",
    "render_document",
    "restore_version",
    "search_for_place",
    "undo_edit",
]

GivenDocument = DocumentLine | str
"""A document as it was read, or its id."""

PLACE = "/v1/documents/"


def id_of(document: GivenDocument) -> str:
    """The document's id."""
    return document if isinstance(document, str) else document.id


def edit_document(
    document: DocumentLine, edit: GivenEdit, *, writer: str | None = None, idempotency_key: str | None = None
) -> Call[Document | JobRecord]:
    body = as_json("edit", edit_of(edit).model_dump(mode="json"))
    sending = Sending("POST", _at(document, "/edits"), pairs(writer=writer), _match(document), body)
    return Call(sending, _document_or_job, "named", idempotency_key)


def undo_edit(document: DocumentLine, *, idempotency_key: str | None = None) -> Call[Document]:
    sending = Sending("POST", _at(document, "/undo"), headers=_match(document))
    return Call(sending, reads(Document), "named", idempotency_key)


def redo_edit(document: DocumentLine, *, idempotency_key: str | None = None) -> Call[Document]:
    sending = Sending("POST", _at(document, "/redo"), headers=_match(document))
    return Call(sending, reads(Document), "named", idempotency_key)


def restore_version(document: DocumentLine, version: int, *, idempotency_key: str | None = None) -> Call[Document]:
    body = as_json("restore", {"version": version})
    sending = Sending("POST", _at(document, "/restore"), headers=_match(document), body=body)
    return Call(sending, reads(Document), "named", idempotency_key)


def render_document(document: GivenDocument) -> Call[Document]:
    return Call(Sending("POST", _at(document, "/render")), reads(Document))


def list_versions(
    document: GivenDocument, *, limit: int | None = None, after: int | None = None, before: int | None = None
) -> Call[Page[VersionRecord]]:
    sending = Sending("GET", _at(document, "/versions"), pairs(limit=limit, after=after, before=before))
    return Call(sending, reads(Page[VersionRecord]))


def get_version(document: GivenDocument, version: int) -> Call[Document]:
    return Call(Sending("GET", _at(document, f"/versions/{version:d}")), reads(Document))


def diff_versions(
    document: GivenDocument, from_version: int | None = None, to_version: int | None = None
) -> Call[DiffRecord]:
    query = pairs(**{"from": from_version, "to": to_version})
    return Call(Sending("GET", _at(document, "/diff"), query), reads(DiffRecord))


def get_alternatives(document: GivenDocument, block_id: str) -> Call[Alternatives]:
    return Call(Sending("GET", _block(document, block_id) + "/alternatives"), reads(Alternatives))


def search_for_place(
    document: GivenDocument,
    block_id: str,
    *,
    text: str = "",
    libraries: Sequence[str] | None = None,
    k: int | None = None,
    licence_policy: LicencePolicy | None = None,
) -> Call[HitList]:
    given = {"text": text or None, "libraries": None if libraries is None else list(libraries), "k": k}
    said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if licence_policy is not None:
        said["licence_policy"] = licence_policy.model_dump(mode="json")
    path = _block(document, block_id) + "/search"
    return Call(Sending("POST", path, body=as_json("search", said), wait_s=ANSWER_S), reads(HitList))


def get_document_picture(document: GivenDocument, picture_id: str, start: int = 0, etag: str = "") -> Sending:
    """For `Listen`: the file from a byte on, as long as it is still the one with that ETag."""
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": etag}
    return Sending("GET", object_path(_at(document, "/pictures/"), picture_id) + "/file", headers=headers)


def delete_document(document: GivenDocument) -> Call[None]:
    headers = {} if isinstance(document, str) else _match(document)
    return Call(Sending("DELETE", _at(document), headers=headers), nothing, settle=_gone)


def _at(document: GivenDocument, rest: str = "") -> str:
    return object_path(PLACE, id_of(document)) + rest


def _block(document: GivenDocument, block_id: str) -> str:
    return object_path(_at(document, "/blocks/"), block_id)


def _match(document: DocumentLine) -> dict[str, str]:
    return {"If-Match": f'"{document.version}"'}


def _document_or_job(answer: Answer) -> Document | JobRecord:
    return reads(JobRecord)(answer) if answer.status == 202 else reads(Document)(answer)


def _gone(error: InterleafError) -> Steps[Settled[None] | None]:
    """That it is not there is what was asked for."""
    yield from ()
    return Settled(None) if isinstance(error, ObjectUnknown) else None
