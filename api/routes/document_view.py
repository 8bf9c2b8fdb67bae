"""Document view: a piece, its versions and what changed between them, as the service tells them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from agents.editing.difference import BlockChange
from api.document_tag import version_tag
from api.door import Door
from api.reply import answer_of, matches, reply
from api.routes.job_view import ArtifactView
from workers.store.answered import Answer
from workers.store.document_versions import How, VersionLine
from workers.store.pieces import Document

__all__ = [
    "ChangeView",
    "DiffView",
    "DocumentLine",
    "DocumentView",
    "RestoreBody",
    "VersionView",
    "document_answer",
    "document_reply",
]


class DocumentLine(BaseModel):
    """A document in a list."""

    id: str
    title: str
    version: int = Field(description="1 and rising: every edit makes one")
    job_id: str | None = Field(description="The job that made it; null when that was deleted")
    created_at: datetime
    publish_at: datetime | None = Field(
        description="When its schedule publishes it; null when that is done, or not planned"
    )
    published_at: datetime | None = Field(description="When its schedule published it")

    @classmethod
    def of_line(cls, document: Document) -> DocumentLine:
        return DocumentLine(**_line(document))


class DocumentView(DocumentLine):
    """A document with its blocks."""

    # Not read as an Article on the way out: the store has it as it was accepted, perhaps by an earlier version.
    article: dict[str, Any] = Field(description="An Article: blocks with stable ids")
    artifacts: list[ArtifactView] = Field(description="Files of this version; one that looks the same is the same file")
    render_job_id: str | None = Field(
        None, description="The job that makes the files that the newest version lacks, while it is at it"
    )

    @classmethod
    def of(cls, document: Document) -> DocumentView:
        return cls(
            **_line(document),
            article=dict(document.article or {}),
            artifacts=[ArtifactView.of(one) for one in document.artifacts],
            render_job_id=document.render_job_id,
        )


class VersionView(BaseModel):
    """A version in a list."""

    version: int
    how: How
    same_as: int | None = Field(description="The version whose content a restore, an undo or a redo repeats")
    edit: dict[str, Any] | None = Field(description="The edit that made it")
    job_id: str | None = Field(description="The job that wrote it, where one did")
    created_at: datetime
    title: str
    words: int | None

    @classmethod
    def of(cls, line: VersionLine) -> VersionView:
        return cls(
            version=line.version,
            how=line.how,
            same_as=line.same_as,
            edit=None if line.edit is None else dict(line.edit),
            job_id=line.job_id,
            created_at=line.created_at,
            title=line.title,
            words=line.words,
        )


class WordsView(BaseModel):
    """A run of words that both versions have, or one of them."""

    kind: Literal["same", "removed", "added"]
    text: str


class FieldView(BaseModel):
    """A field of a block that differs."""

    name: str
    words: list[WordsView]


class ChangeView(BaseModel):
    """What became of a block."""

    kind: Literal["added", "removed", "moved", "changed"]
    block_id: str
    block_type: str
    preview: str
    fields: list[FieldView]

    @classmethod
    def of(cls, change: BlockChange) -> ChangeView:
        fields = [
            FieldView(name=name, words=[WordsView(kind=one.kind, text=one.text) for one in words])
            for name, words in change.fields
        ]
        return cls(
            kind=change.kind,
            block_id=change.block_id,
            block_type=change.block_type,
            preview=change.preview,
            fields=fields,
        )


class DiffView(BaseModel):
    """What changed between two versions, in the order in which a reader meets it."""

    document_id: str
    from_version: int
    to_version: int
    changes: list[ChangeView]
    text: str = Field(description="The same for people: + added, - removed, ~ changed, > moved; [-old-]{+new+}")


class RestoreBody(BaseModel):
    """Which version is to be the newest again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 1}]})

    version: int = Field(ge=1, le=2**31 - 1)


def document_reply(
    door: Door, owner: str, document_id: str, version: int | None = None, if_none_match: str | None = None
) -> Response:
    """The document as an answer with its ETag; 304 when it is the one that is known. ObjectUnknown."""
    document = door.pieces.document(document_id, owner, version)
    answer = reply(DocumentView.of(document))
    etag = version_tag(document.version, bytes(answer.body))
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    answer.headers.update(headers)
    return answer


def document_answer(door: Door, owner: str, document_id: str) -> Answer:
    """The newest version after a change, as an answer that can be kept."""
    document = door.pieces.document(document_id, owner)
    answer = answer_of(DocumentView.of(document), 201, {"Location": f"/v1/documents/{document_id}"})
    return Answer(answer.status, answer.body, {**answer.headers, "ETag": version_tag(document.version, answer.body)})


def _line(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "title": document.title,
        "version": document.version,
        "job_id": document.job_id,
        "created_at": document.created_at,
        "publish_at": document.publish_at,
        "published_at": document.published_at,
    }
