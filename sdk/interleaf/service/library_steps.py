"""Library steps: what takes more than one request of a picture library: files sent and taken in, searches by a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from interleaf.errors import InvalidRequest, ObjectUnknown, PictureUnreadable
from interleaf.schema import LicencePolicy
from interleaf.service import library_calls
from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.picture_archive import pack_folder
from interleaf.service.service_records import HitRecord, JobRecord, LibraryRecord, UploadRecord
from interleaf.service.steps import Do, SentFile, Steps

__all__ = ["Content", "GivenLibrary", "GivenPolicy", "find", "id_of", "ingest", "policy_of", "search", "send"]

Content = str | Path | UploadRecord
"""A file or folder of this machine, an upload, or an upload's id."""

GivenLibrary = LibraryRecord | str
"""A library, or its id."""

GivenPolicy = LicencePolicy | str | Sequence[str] | None
"""A policy, or what a brief would write for it: any, open, [CC-BY-*, CC0-*]."""

_UPLOAD: Final = re.compile(r"(?:upload:)?upl_[0-9a-z]{26}")


def id_of(library: GivenLibrary) -> str:
    """The library's id."""
    return library if isinstance(library, str) else library.id


def policy_of(policy: GivenPolicy) -> LicencePolicy | None:
    """The policy that is meant; None where none is said."""
    if policy is None or isinstance(policy, LicencePolicy):
        return policy
    return LicencePolicy.model_validate(policy if isinstance(policy, str) else list(policy))


def find(calls: Calls, name: str) -> Steps[LibraryRecord]:
    """The library of that name. ObjectUnknown."""
    page = yield from ask(library_calls.list_libraries(limit=1, name=name), calls.retrying)
    if not page.data:
        raise ObjectUnknown(name, "is no library of yours.", "List them, or make it.")
    return page.data[0]


def ingest(calls: Calls, library: GivenLibrary, content: Sequence[Content], **said: Any) -> Steps[JobRecord]:
    """Send the files, folders as archives, and order their ingest. `said` as of `library_calls.create_ingest`."""
    uploads = yield from send(calls, content)
    call = library_calls.create_ingest(id_of(library), uploads, **said)
    return (yield from ask(call, calls.retrying))


def send(calls: Calls, content: Sequence[Content]) -> Steps[list[str]]:
    """Send the files, folders as archives; ids of the uploads, none twice, in the order in which they were named."""
    uploads: list[str] = []
    for one in content:
        uploads += yield from _sent(calls, one)
    if not uploads:
        raise InvalidRequest("content", "holds no picture.", "Name pictures, folders with pictures, or ZIP archives.")
    return list(dict.fromkeys(uploads))


def search(
    calls: Calls, library: GivenLibrary, text: str | None, picture: Content | None, **said: Any
) -> Steps[tuple[HitRecord, ...]]:
    """Search by words or by a picture; a file is sent for that and deleted afterwards."""
    if picture is None or isinstance(picture, UploadRecord) or _UPLOAD.fullmatch(str(picture)):
        named = picture.id if isinstance(picture, UploadRecord) else None if picture is None else str(picture)
        call = library_calls.search_library(id_of(library), text=text, picture=named, **said)
        return (yield from ask(call, calls.retrying)).hits
    path = Path(picture)
    upload = yield from ask(calls.create_upload(SentFile(path.name, path)), calls.retrying)
    try:
        call = library_calls.search_library(id_of(library), text=text, picture=upload.id, **said)
        return (yield from ask(call, calls.retrying)).hits
    finally:
        yield from ask(calls.delete_upload(upload.id), calls.retrying)


def _sent(calls: Calls, content: Content) -> Steps[list[str]]:
    """Ids of the uploads that a file, a folder or an upload is."""
    if isinstance(content, UploadRecord):
        return [content.id]
    if isinstance(content, str) and _UPLOAD.fullmatch(content):
        return [content.removeprefix("upload:")]
    path = Path(content).expanduser()
    if path.is_file():
        upload = yield from ask(calls.create_upload(SentFile(path.name, path)), calls.retrying)
        return [upload.id]
    if not path.is_dir():
        raise PictureUnreadable(str(content), "does not exist.", "Look at the spelling.")
    packed, archives = yield Do(partial(pack_folder, path))
    found: list[str] = []
    if packed is not None:
        try:
            file = SentFile(f"{path.name or 'pictures'}.zip", packed)
            found.append((yield from ask(calls.create_upload(file), calls.retrying)).id)
        finally:
            packed.unlink(missing_ok=True)
    for archive in archives:
        upload = yield from ask(calls.create_upload(SentFile(archive.name, archive)), calls.retrying)
        found.append(upload.id)
    return found
