"""Ingest order: what a job of the kind `ingest` is asked, in the place where other jobs have their brief."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from interleaf.schema.word import Line, Word

__all__ = ["INGEST", "IngestOrder", "UploadId"]

INGEST: Final = "ingest"
"""The kind of such a job."""

MAX_UPLOADS: Final = 1_000

UploadId = Annotated[str, StringConstraints(pattern=r"^(upload:)?upl_[0-9a-z]{26}$")]


class IngestOrder(Word):
    """Take uploads into a library: pictures, and ZIP archives of pictures with what is written beside them."""

    kind: Literal["ingest"] = "ingest"
    library_id: Annotated[str, StringConstraints(pattern=r"^lib_[0-9a-z]{26}$")]
    uploads: tuple[UploadId, ...] = Field(min_length=1, max_length=MAX_UPLOADS)
    author: Line | None = Field(None, max_length=1_000)
    licence: Line | None = Field(None, max_length=1_000)
    source_url: Line | None = Field(None, max_length=2_000)
    dedupe: Literal["near", "exact"] = "near"

    @property
    def upload_ids(self) -> tuple[str, ...]:
        """The ids of the uploads, none twice."""
        return tuple(dict.fromkeys(one.removeprefix("upload:") for one in self.uploads))

    @property
    def given(self) -> dict[str, Any]:
        """What is said of every picture."""
        said = {"author": self.author, "licence": self.licence, "source_url": self.source_url}
        return {name: value for name, value in said.items() if value}
