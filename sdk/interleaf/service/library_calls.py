"""Library calls: every operation on picture libraries as a value: what is sent, and how the answer is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interleaf.errors import InterleafError, ObjectUnknown, PictureMissing
from interleaf.schema import LicencePolicy
from interleaf.service.call import Call, Settled, reads
from interleaf.service.calls import WAIT_MARGIN_S, as_json, metadata_pairs, nothing, object_path, pairs
from interleaf.service.service_records import HitList, JobRecord, LibraryRecord, Page, PictureRecord
from interleaf.service.steps import Sending, Steps

__all__ = [
    "create_ingest",
    "create_library",
    "delete_library",
    "delete_picture",
    "get_library",
    "get_picture",
    "get_picture_file",
    "list_libraries",
    "list_pictures",
    "search_library",
]

PLACE = "/v1/libraries/"
# The service waits so long for its library worker before it says that none answers.
ANSWER_S = 30.0


def create_library(name: str, description: str = "", *, idempotency_key: str | None = None) -> Call[LibraryRecord]:
    said = {"name": name} | ({"description": description} if description else {})
    sending = Sending("POST", "/v1/libraries", body=as_json("library", said))
    return Call(sending, reads(LibraryRecord), "named", idempotency_key)


def list_libraries(
    *, limit: int | None = None, after: str | None = None, name: str | None = None
) -> Call[Page[LibraryRecord]]:
    sending = Sending("GET", "/v1/libraries", pairs(limit=limit, after=after, name=name))
    return Call(sending, reads(Page[LibraryRecord]))


def get_library(library_id: str) -> Call[LibraryRecord]:
    return Call(Sending("GET", object_path(PLACE, library_id)), reads(LibraryRecord))


def delete_library(library_id: str) -> Call[None]:
    return Call(Sending("DELETE", object_path(PLACE, library_id)), nothing, settle=_gone)


def create_ingest(
    library_id: str,
    uploads: Sequence[str],
    *,
    author: str | None = None,
    licence: str | None = None,
    source_url: str | None = None,
    dedupe: str = "near",
    metadata: Mapping[str, str] | None = None,
    external_id: str | None = None,
    start_within_s: int | None = None,
    wait_s: int = 0,
    idempotency_key: str | None = None,
) -> Call[JobRecord]:
    given = {"author": author, "licence": licence, "source_url": source_url}
    said: dict[str, Any] = {"uploads": list(uploads), "dedupe": dedupe}
    said |= {name: value for name, value in given.items() if value is not None}
    query = pairs(external_id=external_id, start_within_s=start_within_s) + metadata_pairs(metadata)
    headers, wait = ({"Prefer": f"wait={wait_s}"}, wait_s + WAIT_MARGIN_S) if wait_s else ({}, 0.0)
    path = object_path(PLACE, library_id) + "/ingests"
    sending = Sending("POST", path, query, headers, as_json("ingest", said), wait_s=wait)
    return Call(sending, reads(JobRecord), "named", idempotency_key)


def search_library(
    library_id: str,
    *,
    text: str | None = None,
    picture: str | None = None,
    k: int | None = None,
    licence_policy: LicencePolicy | None = None,
    min_width_px: int | None = None,
    min_height_px: int | None = None,
) -> Call[HitList]:
    given = {"text": text, "picture": picture, "k": k, "min_width_px": min_width_px, "min_height_px": min_height_px}
    said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if licence_policy is not None:
        said["licence_policy"] = licence_policy.model_dump(mode="json")
    path = object_path(PLACE, library_id) + "/search"
    return Call(Sending("POST", path, body=as_json("search", said), wait_s=ANSWER_S), reads(HitList))


def list_pictures(
    library_id: str,
    *,
    limit: int | None = None,
    after: str | None = None,
    before: str | None = None,
    licence: Sequence[str] = (),
    min_width_px: int | None = None,
    min_height_px: int | None = None,
    id_prefix: str | None = None,
) -> Call[Page[PictureRecord]]:
    query = pairs(
        limit=limit,
        after=after,
        before=before,
        min_width_px=min_width_px,
        min_height_px=min_height_px,
        id_prefix=id_prefix,
    )
    query += tuple(("licence", one) for one in licence)
    path = object_path(PLACE, library_id) + "/pictures"
    return Call(Sending("GET", path, query), reads(Page[PictureRecord]))


def get_picture(library_id: str, picture_id: str) -> Call[PictureRecord]:
    return Call(Sending("GET", _picture(library_id, picture_id)), reads(PictureRecord))


def get_picture_file(library_id: str, picture_id: str, start: int = 0, etag: str = "") -> Sending:
    """For `Listen`: the file from a byte on, as long as it is still the one with that ETag."""
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": etag}
    return Sending("GET", _picture(library_id, picture_id) + "/file", headers=headers)


def delete_picture(library_id: str, picture_id: str) -> Call[None]:
    return Call(Sending("DELETE", _picture(library_id, picture_id), wait_s=ANSWER_S), nothing, settle=_gone)


def _picture(library_id: str, picture_id: str) -> str:
    return object_path(object_path(PLACE, library_id) + "/pictures/", picture_id)


def _gone(error: InterleafError) -> Steps[Settled[None] | None]:
    """That it is not there is what was asked for."""
    yield from ()
    return Settled(None) if isinstance(error, ObjectUnknown | PictureMissing) else None
