"""Documents: finished pieces with their blocks, and what became of them version by version."""

from __future__ import annotations

import logging
import shutil
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Response

from agents.editing.difference import difference, in_words
from api.document_tag import MatchedVersion, expected_of, versions_named
from api.door import Door, Reader, TheDoor, Writer
from api.openapi import ETAG, NO_CONTENT, NOT_MODIFIED, problems
from api.paging import LINKS, Page, Position, listed, page_of, positions
from api.reply import reply
from api.routes.document_view import ChangeView, DiffView, DocumentLine, DocumentView, VersionView, document_reply
from interleaf.errors import InvalidRequest
from workers.store.document_deletion import DocumentDeletion, delete_document
from workers.store.document_versions import article_of

__all__ = ["PATH", "Number", "router"]

PATH: Final = "/v1/documents"

router = APIRouter(prefix=PATH, tags=["documents"])
_log = logging.getLogger(__name__)

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Known = Annotated[str | None, Header(max_length=2_000, description="ETag of the one that is known")]
_VERSION: Final[Any] = {"ge": 1, "le": 2**31 - 1}


@router.get(
    "",
    response_model=Page[DocumentLine],
    operation_id="listDocuments",
    summary="List documents, newest first",
    responses={200: {"headers": LINKS}},
)
async def list_documents(door: TheDoor, key: Reader, at: Annotated[Position, positions("doc")]) -> Response:
    """Without their blocks."""

    def read() -> Page[DocumentLine]:
        return page_of(
            lambda limit, after, before: door.pieces.documents(key.id, limit, after, before), at, DocumentLine.of_line
        )

    return listed(await door.threads.run(read), at)


@router.get(
    "/{document_id}",
    response_model=DocumentView,
    operation_id="getDocument",
    summary="Read a document",
    responses={200: {"headers": ETAG}, **NOT_MODIFIED},
)
async def get_document(
    document_id: str,
    door: TheDoor,
    key: Reader,
    version: Annotated[int | None, Query(**_VERSION, description="The newest if left out")] = None,
    if_none_match: Known = None,
) -> Response:
    """The newest version, or an earlier one. Its ETag is what an edit sends as If-Match."""
    return await door.threads.run(document_reply, door, key.id, document_id, version, if_none_match)


@router.delete(
    "/{document_id}",
    status_code=204,
    operation_id="deleteDocument",
    summary="Delete a document",
    responses=NO_CONTENT | problems(412, 428),
)
async def delete(document_id: str, door: TheDoor, key: Writer, if_match: MatchedVersion = None) -> Response:
    """With all its versions and files, for ever; the records of its jobs stay, and those that are at work on it fail.
    With If-Match, only while that is its newest version."""
    named = None if if_match is None else versions_named(if_match)

    def work() -> DocumentDeletion:
        expected = None
        if named is not None:
            expected = expected_of(named, door.pieces.document(document_id, key.id).version)
        return delete_document(door.database, document_id, key.id, expected)

    deletion = await door.threads.run(work)
    await door.threads.run(_sweep, door, deletion)
    return Response(status_code=204)


@router.get(
    "/{document_id}/versions",
    response_model=Page[VersionView],
    operation_id="listVersions",
    summary="List a document's versions, newest first",
    responses={200: {"headers": LINKS}},
)
async def list_versions(
    document_id: str, door: TheDoor, key: Reader, at: Annotated[Position, positions("version")]
) -> Response:
    """How each came about: made, edited, undone, done again, restored. None is ever taken away."""

    def read() -> Page[VersionView]:
        def lines(limit: int, after: str | None, before: str | None) -> Any:
            first, last = (None if one is None else int(one) for one in (after, before))
            return door.versions.list(document_id, key.id, limit, first, last)

        return page_of(lines, at, VersionView.of)

    return listed(await door.threads.run(read), at)


@router.get(
    "/{document_id}/versions/{version}",
    response_model=DocumentView,
    operation_id="getVersion",
    summary="Read a version of a document",
    responses={200: {"headers": ETAG}, **NOT_MODIFIED},
)
async def get_version(
    document_id: str, version: Number, door: TheDoor, key: Reader, if_none_match: Known = None
) -> Response:
    """As it was, with its files."""
    return await door.threads.run(document_reply, door, key.id, document_id, version, if_none_match)


@router.get(
    "/{document_id}/diff",
    response_model=DiffView,
    operation_id="diffVersions",
    summary="See what changed between two versions",
)
async def diff_versions(
    document_id: str,
    door: TheDoor,
    key: Reader,
    from_: Annotated[int | None, Query(alias="from", **_VERSION, description="The one before `to` if left out")] = None,
    to: Annotated[int | None, Query(**_VERSION, description="The newest if left out")] = None,
) -> Response:
    """Block by block and word by word, for programs and, in `text`, for people."""

    def read() -> DiffView:
        new = door.pieces.document(document_id, key.id, to)
        before = new.version - 1 if from_ is None else from_
        if before < 1:
            raise InvalidRequest("from", "there is no version before the first.", "Name two versions.")
        old = door.pieces.document(document_id, key.id, before)
        changes = difference(article_of(old.article), article_of(new.article))
        return DiffView(
            document_id=document_id,
            from_version=old.version,
            to_version=new.version,
            changes=[ChangeView.of(one) for one in changes],
            text=in_words(changes),
        )

    return reply(await door.threads.run(read))


def _sweep(door: Door, deletion: DocumentDeletion) -> None:
    """Remove what nobody has any more. What cannot be removed now is told to the log: the document is gone."""
    try:
        for file_key in deletion.file_keys:
            door.store.delete(file_key)
        if deletion.free_run_id is not None:
            # The name is ours (workers/run/run_folder.py), never a person's.
            shutil.rmtree(door.runs_dir / deletion.free_run_id, ignore_errors=True)
    except Exception as error:  # noqa: BLE001 - files that stay behind are no reason to say that the document is there
        _log.warning("files of the deleted document %s stay behind: %s", deletion.document_id, error)
