"""Documents: finished pieces with their blocks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field

from api.door import Reader, TheDoor
from api.openapi import ETAG, NOT_MODIFIED
from api.paging import LINKS, Page, Position, listed, page_of, positions
from api.reply import etag_of, matches, reply
from api.routes.job_view import ArtifactView
from workers.store.pieces import Document

__all__ = ["router"]

router = APIRouter(prefix="/v1/documents", tags=["documents"])


class DocumentLine(BaseModel):
    """A document in a list."""

    id: str
    title: str
    version: int
    job_id: str | None = Field(description="The job that made it; null when that was deleted")
    created_at: datetime


class DocumentView(DocumentLine):
    """A document with its blocks."""

    # Not read as an Article on the way out: the store has it as it was accepted, perhaps by an earlier version.
    article: dict[str, Any] = Field(description="An Article: blocks with stable ids")
    artifacts: list[ArtifactView] = Field(description="Files of the newest version")


def _line(document: Document) -> DocumentLine:
    return DocumentLine(
        id=document.id,
        title=document.title,
        version=document.version,
        job_id=document.job_id,
        created_at=document.created_at,
    )


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
        return page_of(lambda limit, after, before: door.pieces.documents(key.id, limit, after, before), at, _line)

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
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="The newest if left out")] = None,
    if_none_match: Annotated[str | None, Header(max_length=2_000, description="ETag of the one that is known")] = None,
) -> Response:
    """The newest version, or an earlier one without files."""

    def read() -> Response:
        document = door.pieces.document(document_id, key.id, version)
        view = DocumentView(
            **_line(document).model_dump(),
            article=dict(document.article or {}),
            artifacts=[ArtifactView.of(one) for one in document.artifacts],
        )
        answer = reply(view)
        etag = etag_of(bytes(answer.body))
        headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
        if matches(if_none_match, etag):
            return Response(status_code=304, headers=headers)
        answer.headers.update(headers)
        return answer

    return await door.threads.run(read)
