"""Service libraries: the picture libraries of a service: made, filled, searched, fetched; sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from interleaf.service import library_calls, library_steps
from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.download import MemoryTarget, PartFile, download_part
from interleaf.service.job_steps import all_pages
from interleaf.service.library_steps import Content, GivenLibrary, GivenPolicy, id_of, policy_of
from interleaf.service.service_job import AsyncJob, Job
from interleaf.service.service_records import HitRecord, LibraryRecord, Page, PictureRecord
from interleaf.service.wire import AsyncWire, Wire

__all__ = ["AsyncLibraries", "Libraries"]

Dedupe = Literal["near", "exact"]


def _picture_id(picture: PictureRecord | str) -> str:
    return picture if isinstance(picture, str) else picture.id


class Libraries:
    """Picture libraries. A brief's `libraries` names them, by name or id."""

    def __init__(self, wire: Wire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    def create(self, name: str, description: str = "", *, idempotency_key: str | None = None) -> LibraryRecord:
        """A new library without pictures. NameTaken when another one of yours has that name."""
        call = library_calls.create_library(name, description, idempotency_key=idempotency_key)
        return self._wire.run(ask(call, self._retrying))

    def get(self, library: GivenLibrary) -> LibraryRecord:
        """What it holds now, in numbers. ObjectUnknown."""
        return self._wire.run(ask(library_calls.get_library(id_of(library)), self._retrying))

    def find(self, name: str) -> LibraryRecord:
        """The one of that name. ObjectUnknown."""
        return self._wire.run(library_steps.find(self._calls, name))

    def list(self, *, limit: int | None = None, after: str | None = None) -> Page[LibraryRecord]:
        """One page, newest first."""
        return self._wire.run(ask(library_calls.list_libraries(limit=limit, after=after), self._retrying))

    def delete(self, library: GivenLibrary) -> None:
        """At once, with all its pictures, for ever; pieces keep the pictures that they show."""
        self._wire.run(ask(library_calls.delete_library(id_of(library)), self._retrying))

    def ingest(
        self,
        library: GivenLibrary,
        *content: Content,
        author: str | None = None,
        licence: str | None = None,
        source_url: str | None = None,
        dedupe: Dedupe = "near",
        metadata: Mapping[str, str] | None = None,
        external_id: str | None = None,
        start_within_s: int | None = None,
        wait_s: int = 0,
        idempotency_key: str | None = None,
    ) -> Job:
        """Add pictures, as a job: files, folders, ZIP archives, uploads. `author`, `licence` and `source_url` are said
        of all of them. The job's `result.report` says what became of every file. PictureUnreadable when a path is not
        there; the other arguments are those of `jobs.create`."""
        steps = library_steps.ingest(
            self._calls,
            library,
            content,
            author=author,
            licence=licence,
            source_url=source_url,
            dedupe=dedupe,
            metadata=metadata,
            external_id=external_id,
            start_within_s=start_within_s,
            wait_s=wait_s,
            idempotency_key=idempotency_key,
        )
        return Job(self._wire, self._calls, self._wire.run(steps))

    def send(self, *content: Content) -> tuple[str, ...]:
        """Send files, folders (as archives) and ZIP archives and do no more; ids of the uploads, for `ingest`."""
        return tuple(self._wire.run(library_steps.send(self._calls, content)))

    def search(
        self,
        library: GivenLibrary,
        text: str | None = None,
        *,
        picture: Content | None = None,
        k: int = 10,
        licence_policy: GivenPolicy = None,
        min_width_px: int | None = None,
        min_height_px: int | None = None,
    ) -> tuple[HitRecord, ...]:
        """At most `k` pictures (100 or fewer), best first: by words, or like a picture: a file, which is sent for that
        and deleted afterwards, or an upload. ServiceAway when no library worker answers."""
        steps = library_steps.search(
            self._calls,
            library,
            text,
            picture,
            k=k,
            licence_policy=policy_of(licence_policy),
            min_width_px=min_width_px,
            min_height_px=min_height_px,
        )
        return self._wire.run(steps)

    def pictures(
        self,
        library: GivenLibrary,
        *,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
        licence: Sequence[str] = (),
        min_width_px: int | None = None,
        min_height_px: int | None = None,
        id_prefix: str | None = None,
    ) -> Page[PictureRecord]:
        """One page, those that joined last first. `licence`: a word such as open, or licences that are allowed."""
        call = library_calls.list_pictures(
            id_of(library),
            limit=limit,
            after=after,
            before=before,
            licence=licence,
            min_width_px=min_width_px,
            min_height_px=min_height_px,
            id_prefix=id_prefix,
        )
        return self._wire.run(ask(call, self._retrying))

    def each_picture(self, library: GivenLibrary, **filters: Any) -> Iterator[PictureRecord]:
        """Every picture that `pictures` with these filters would show, page after page."""

        def page(after: str | None) -> Any:
            return library_calls.list_pictures(id_of(library), **(filters | {"after": after or filters.get("after")}))

        yield from self._wire.each(all_pages(self._calls, page))

    def picture(self, library: GivenLibrary, picture: PictureRecord | str) -> PictureRecord:
        """What is known of it. PictureMissing."""
        call = library_calls.get_picture(id_of(library), _picture_id(picture))
        return self._wire.run(ask(call, self._retrying))

    def remove(self, library: GivenLibrary, picture: PictureRecord | str) -> None:
        """Take a picture out of the library. ServiceAway while an ingest is at work, or no worker answers."""
        call = library_calls.delete_picture(id_of(library), _picture_id(picture))
        self._wire.run(ask(call, self._retrying))

    def download(self, library: GivenLibrary, picture: PictureRecord | str, path: str | Path) -> Path:
        """Write the picture's file to `path`, whole or not at all. ServiceError when the bytes are not those that the
        service says; OutputUnwritable."""
        target = Path(path)
        part = partial(library_calls.get_picture_file, id_of(library), _picture_id(picture))
        self._wire.run(download_part(self._retrying, f"picture {_picture_id(picture)}", part, PartFile(target)))
        return target

    def read(self, library: GivenLibrary, picture: PictureRecord | str) -> bytes:
        """The bytes of the picture's file, in memory."""
        target = MemoryTarget()
        part = partial(library_calls.get_picture_file, id_of(library), _picture_id(picture))
        self._wire.run(download_part(self._retrying, f"picture {_picture_id(picture)}", part, target))
        return bytes(target.content)


class AsyncLibraries:
    """Picture libraries. A brief's `libraries` names them, by name or id."""

    def __init__(self, wire: AsyncWire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    async def create(self, name: str, description: str = "", *, idempotency_key: str | None = None) -> LibraryRecord:
        """A new library without pictures. NameTaken when another one of yours has that name."""
        call = library_calls.create_library(name, description, idempotency_key=idempotency_key)
        return await self._wire.run(ask(call, self._retrying))

    async def get(self, library: GivenLibrary) -> LibraryRecord:
        """What it holds now, in numbers. ObjectUnknown."""
        return await self._wire.run(ask(library_calls.get_library(id_of(library)), self._retrying))

    async def find(self, name: str) -> LibraryRecord:
        """The one of that name. ObjectUnknown."""
        return await self._wire.run(library_steps.find(self._calls, name))

    async def list(self, *, limit: int | None = None, after: str | None = None) -> Page[LibraryRecord]:
        """One page, newest first."""
        return await self._wire.run(ask(library_calls.list_libraries(limit=limit, after=after), self._retrying))

    async def delete(self, library: GivenLibrary) -> None:
        """At once, with all its pictures, for ever; pieces keep the pictures that they show."""
        await self._wire.run(ask(library_calls.delete_library(id_of(library)), self._retrying))

    async def ingest(
        self,
        library: GivenLibrary,
        *content: Content,
        author: str | None = None,
        licence: str | None = None,
        source_url: str | None = None,
        dedupe: Dedupe = "near",
        metadata: Mapping[str, str] | None = None,
        external_id: str | None = None,
        start_within_s: int | None = None,
        wait_s: int = 0,
        idempotency_key: str | None = None,
    ) -> AsyncJob:
        """Add pictures, as a job: files, folders, ZIP archives, uploads. `author`, `licence` and `source_url` are said
        of all of them. The job's `result.report` says what became of every file. PictureUnreadable when a path is not
        there; the other arguments are those of `jobs.create`."""
        steps = library_steps.ingest(
            self._calls,
            library,
            content,
            author=author,
            licence=licence,
            source_url=source_url,
            dedupe=dedupe,
            metadata=metadata,
            external_id=external_id,
            start_within_s=start_within_s,
            wait_s=wait_s,
            idempotency_key=idempotency_key,
        )
        return AsyncJob(self._wire, self._calls, await self._wire.run(steps))

    async def send(self, *content: Content) -> tuple[str, ...]:
        """Send files, folders (as archives) and ZIP archives and do no more; ids of the uploads, for `ingest`."""
        return tuple(await self._wire.run(library_steps.send(self._calls, content)))

    async def search(
        self,
        library: GivenLibrary,
        text: str | None = None,
        *,
        picture: Content | None = None,
        k: int = 10,
        licence_policy: GivenPolicy = None,
        min_width_px: int | None = None,
        min_height_px: int | None = None,
    ) -> tuple[HitRecord, ...]:
        """At most `k` pictures (100 or fewer), best first: by words, or like a picture: a file, which is sent for that
        and deleted afterwards, or an upload. ServiceAway when no library worker answers."""
        steps = library_steps.search(
            self._calls,
            library,
            text,
            picture,
            k=k,
            licence_policy=policy_of(licence_policy),
            min_width_px=min_width_px,
            min_height_px=min_height_px,
        )
        return await self._wire.run(steps)

    async def pictures(
        self,
        library: GivenLibrary,
        *,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
        licence: Sequence[str] = (),
        min_width_px: int | None = None,
        min_height_px: int | None = None,
        id_prefix: str | None = None,
    ) -> Page[PictureRecord]:
        """One page, those that joined last first. `licence`: a word such as open, or licences that are allowed."""
        call = library_calls.list_pictures(
            id_of(library),
            limit=limit,
            after=after,
            before=before,
            licence=licence,
            min_width_px=min_width_px,
            min_height_px=min_height_px,
            id_prefix=id_prefix,
        )
        return await self._wire.run(ask(call, self._retrying))

    async def each_picture(self, library: GivenLibrary, **filters: Any) -> AsyncIterator[PictureRecord]:
        """Every picture that `pictures` with these filters would show, page after page."""

        def page(after: str | None) -> Any:
            return library_calls.list_pictures(id_of(library), **(filters | {"after": after or filters.get("after")}))

        async for record in self._wire.each(all_pages(self._calls, page)):
            yield record

    async def picture(self, library: GivenLibrary, picture: PictureRecord | str) -> PictureRecord:
        """What is known of it. PictureMissing."""
        call = library_calls.get_picture(id_of(library), _picture_id(picture))
        return await self._wire.run(ask(call, self._retrying))

    async def remove(self, library: GivenLibrary, picture: PictureRecord | str) -> None:
        """Take a picture out of the library. ServiceAway while an ingest is at work, or no worker answers."""
        call = library_calls.delete_picture(id_of(library), _picture_id(picture))
        await self._wire.run(ask(call, self._retrying))

    async def download(self, library: GivenLibrary, picture: PictureRecord | str, path: str | Path) -> Path:
        """Write the picture's file to `path`, whole or not at all. ServiceError when the bytes are not those that the
        service says; OutputUnwritable."""
        target = Path(path)
        part = partial(library_calls.get_picture_file, id_of(library), _picture_id(picture))
        await self._wire.run(download_part(self._retrying, f"picture {_picture_id(picture)}", part, PartFile(target)))
        return target

    async def read(self, library: GivenLibrary, picture: PictureRecord | str) -> bytes:
        """The bytes of the picture's file, in memory."""
        target = MemoryTarget()
        part = partial(library_calls.get_picture_file, id_of(library), _picture_id(picture))
        await self._wire.run(download_part(self._retrying, f"picture {_picture_id(picture)}", part, target))
        return bytes(target.content)
