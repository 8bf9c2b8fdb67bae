"""Job order: what comes with a brief over REST, and what such a brief must not say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, Query
from pydantic import ValidationError

from api.problems import InvalidFields, ProblemField
from interleaf.errors import InvalidRequest
from interleaf.schema import Brief
from workers.store.ingest_order import IngestOrder
from workers.store.uploads import REFERENCE, upload_named

__all__ = ["EXAMPLES", "JobLabels", "Labels", "metadata_of", "upload_ids", "validated", "validated_ingest"]

MAX_START_WITHIN_S: Final = 366 * 24 * 3600
EXAMPLES: Final[Any] = {
    "text": {
        "summary": "An article from a note that is given as text",
        "value": {
            "instruction": "How tides work, for people who live by the sea",
            "sources": [{"text": "# Tides\n\nThe moon pulls the sea.", "name": "notes.md"}],
            "length_words": 500,
        },
    },
    "uploads": {
        "summary": "From files that were sent before",
        "value": {
            "instruction": "How tides work",
            "sources": ["upload:upl_01kaj5v1c8m2n4p6q8r0s2t4v6"],
            "pictures": ["upload:upl_01kaj5v1c8m2n4p6q8r0s2t4v7"],
            "approvals": {"outline": True, "timeout_s": 86400, "on_timeout": "approve"},
        },
    },
}
"""Briefs as they come over REST."""


@dataclass(frozen=True)
class JobLabels:
    """What the caller says about a job beside its brief."""

    metadata: dict[str, str]
    external_id: str | None
    start_within: timedelta | None

    def expires_at(self, now: datetime) -> datetime | None:
        """When the job expires unless it has begun."""
        return None if self.start_within is None else now.astimezone(UTC) + self.start_within


def metadata_of(pairs: list[str]) -> dict[str, str]:
    """`name:value` pairs. InvalidRequest when one is none, or a name comes twice."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, colon, value = pair.partition(":")
        if not colon:
            raise InvalidRequest("metadata", "a pair has no colon.", "Write metadata=NAME:VALUE.")
        if name in found:
            raise InvalidRequest("metadata", "a name comes twice.", "Give each name once.")
        found[name] = value
    return found


async def _labels(
    external_id: Annotated[
        str | None, Query(min_length=1, max_length=200, description="The caller's own name for the job")
    ] = None,
    metadata: Annotated[
        list[str] | None, Query(max_length=16, description="NAME:VALUE, up to 16 times", examples=[["team:harbour"]])
    ] = None,
    start_within_s: Annotated[
        int | None, Query(ge=1, le=MAX_START_WITHIN_S, description="A job that has not begun by then expires")
    ] = None,
) -> JobLabels:
    start_within = None if start_within_s is None else timedelta(seconds=start_within_s)
    return JobLabels(metadata_of(metadata or []), external_id, start_within)


Labels = Annotated[JobLabels, Depends(_labels)]


def validated(value: Any) -> Brief:
    """A brief from JSON. InvalidFields points at what is wrong."""
    try:
        return Brief.model_validate(value)
    except ValidationError as error:
        raise InvalidFields.of(error, "invalid_brief", ("body",)) from error


def validated_ingest(value: Any) -> IngestOrder:
    """What an ingest is asked, from JSON. InvalidFields points at what is wrong."""
    try:
        return IngestOrder.model_validate(value)
    except ValidationError as error:
        raise InvalidFields.of(error, "invalid_body", ("body",)) from error


def upload_ids(brief: Brief) -> list[str]:
    """The uploads that a brief names as `upload:upl_…`. InvalidFields for any other path: it would name a file of the
    server's."""
    named: list[str] = []
    wrong: list[ProblemField] = []
    paths = [(f"/sources/{number}/path", source.path) for number, source in enumerate(brief.sources)]
    paths += [(f"/pictures/{number}/path", picture.path) for number, picture in enumerate(brief.pictures)]
    for pointer, path in paths:
        if path is not None:
            upload_id = upload_named(path)
            if upload_id is None:
                wrong.append(
                    ProblemField(
                        pointer=pointer,
                        detail=f"A path is not taken over the network. Send the file with POST /v1/uploads and write "
                        f"{REFERENCE}ID" + (", or give the text itself." if pointer.startswith("/sources") else "."),
                    )
                )
            else:
                named.append(upload_id)
    if wrong:
        raise InvalidFields("invalid_brief", 422, wrong[:20])
    return named
