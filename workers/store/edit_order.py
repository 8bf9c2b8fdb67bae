"""Edit order: what a job of the kind `edit` is asked, in the place where other jobs have their brief; and `render`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints
from sqlalchemy import ColumnElement, select

from interleaf.schema.edit import Edit
from interleaf.schema.word import Line, Word
from workers.store.tables import JobBriefRow, JobRow

__all__ = [
    "EDIT",
    "EXTRACTIVE",
    "RENDER",
    "DocumentId",
    "EditOrder",
    "FilesOrder",
    "edits_by_excerpts",
    "edits_by_model",
]

EDIT: Final = "edit"
RENDER: Final = "render"
"""The kinds of such jobs."""

EXTRACTIVE: Final = "extractive"
"""The writer that is no model: its edits take a second, and do not wait behind an hour of composing."""

DocumentId = Annotated[str, StringConstraints(pattern=r"^doc_[0-9a-z]{26}$")]


class EditOrder(Word):
    """Carry out one edit of one version. A document that has moved on by then is left as it is."""

    kind: Literal["edit"] = "edit"
    document_id: DocumentId
    version: int = Field(ge=1, description="That is edited")
    edit: Edit
    writer: Line = EXTRACTIVE


class FilesOrder(Word):
    """Make the files that the newest version of a document lacks."""

    kind: Literal["render"] = "render"
    document_id: DocumentId


def edits_by_excerpts() -> ColumnElement[bool]:
    """A condition: the job is an edit that no model carries out."""
    return (JobRow.kind == EDIT) & ~edits_by_model()


def edits_by_model() -> ColumnElement[bool]:
    """A condition: the job is an edit that a model carries out."""
    writer = JobBriefRow.brief["writer"].as_string()
    by_model = select(JobBriefRow.job_id).where(JobBriefRow.job_id == JobRow.id, writer != EXTRACTIVE).exists()
    return (JobRow.kind == EDIT) & by_model
