"""Edit desk: a piece on the table to be edited: in its run folder, or at a service; the same to the command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from interleaf.cli.server_option import opened_client

if TYPE_CHECKING:
    from interleaf.schema import Article
    from interleaf.service.client import Client
    from interleaf.service.service_records import Document
    from workers.editing import EditedRun
    from workers.run.run_folder import RunFolder

__all__ = ["Change", "EditDesk", "Version", "opened_desk"]

DOCUMENT: Final = "doc_"
FILES: Final = {"html": "article.html", "md": "article.zip"}
Step = Literal["undo", "redo"]
Words = tuple[str, str]
"""same, removed or added, and the words."""


@dataclass(frozen=True)
class Version:
    """A version of the piece."""

    version: int
    how: str
    same_as: int | None
    op: str
    at: str
    words: int | None


@dataclass(frozen=True)
class Change:
    """What became of a block: added, removed, moved or changed."""

    kind: str
    block_id: str
    block_type: str
    preview: str
    fields: tuple[tuple[str, tuple[Words, ...]], ...]


class EditDesk(Protocol):
    """What `interleaf edit` needs. What changes the piece changes the version that was last read or written here:
    VersionStale when somebody was quicker."""

    @property
    def version(self) -> int: ...

    @property
    def article(self) -> Article: ...

    def expect(self, version: int) -> None:
        """The person has read that version, and means it."""

    def edit(self, fields: dict[str, Any], picture: str | None, writer: str | None) -> None: ...

    def step(self, step: Step) -> None: ...

    def restore(self, version: int) -> None: ...

    def versions(self) -> Sequence[Version]:
        """The newest first."""

    def diff(self, from_version: int, to_version: int) -> Sequence[Change]: ...

    def write(self, out: Path) -> Sequence[Path]:
        """Write its files into a folder; those that changed."""


@contextmanager
def opened_desk(
    target: str, home: Path | None, library: Path | None, server: str | None, key_file: Path | None
) -> Iterator[EditDesk]:
    """The piece that `target` names: a document's id, a run's id, or a folder that `interleaf compose` wrote."""
    if target.startswith(DOCUMENT):
        with opened_client(server, key_file) as client:
            yield ServiceDesk(client, client.documents.get(target))
        return
    yield _run_desk(target, home, library)


class RunDesk:
    """A run of this machine."""

    def __init__(self, run: EditedRun) -> None:
        self._run = run
        self._now = run.versions.newest()
        self._expected = self._now.version

    @property
    def version(self) -> int:
        return self._now.version

    @property
    def article(self) -> Article:
        return self._now.article

    def expect(self, version: int) -> None:
        self._expected = version

    def edit(self, fields: dict[str, Any], picture: str | None, writer: str | None) -> None:
        from interleaf.given_edit import edit_of

        if picture is not None:
            fields = {**fields, "picture_id": self._picture_id(picture)}
        self._took(self._run.edit(edit_of(fields), self._expected, writer))

    def step(self, step: Step) -> None:
        self._took(self._run.undo(self._expected) if step == "undo" else self._run.redo(self._expected))

    def restore(self, version: int) -> None:
        self._took(self._run.restore(self._expected, version))

    def versions(self) -> Sequence[Version]:
        return [
            Version(
                one.version,
                one.how,
                one.same_as,
                str((one.edit or {}).get("op", "")),
                one.created_at.isoformat(timespec="seconds"),
                one.article.report.words,
            )
            for one in reversed(self._run.versions.all())
        ]

    def diff(self, from_version: int, to_version: int) -> Sequence[Change]:
        return [
            Change(
                one.kind,
                one.block_id,
                one.block_type,
                one.preview,
                tuple((name, tuple((part.kind, part.text) for part in words)) for name, words in one.fields),
            )
            for one in self._run.diff(from_version, to_version)
        ]

    def write(self, out: Path) -> Sequence[Path]:
        from templates.press import render

        theme = _theme_of(self._run.folder)
        files = {"article.json": (self.article.model_dump_json(indent=1) + "\n").encode()}
        for format, name in FILES.items():
            if (out / name).is_file() or not out.is_dir():
                files[name] = render(self.article, self._run.shelf, format, theme)
        return _written(out, files)

    def _took(self, made: Any) -> None:
        self._now = made
        self._expected = made.version

    def _picture_id(self, picture: str) -> str:
        """An id, the beginning of one that the piece names, or a file, which is taken in."""
        found = _known_picture(self.article, picture)
        return found or self._run.take_in(Path(picture))


class ServiceDesk:
    """A document of a service."""

    def __init__(self, client: Client, document: Document) -> None:
        self._client = client
        self._now = document
        self._expected: int | None = None

    @property
    def version(self) -> int:
        return self._now.version

    @property
    def article(self) -> Article:
        return self._now.article

    def expect(self, version: int) -> None:
        self._expected = version

    def edit(self, fields: dict[str, Any], picture: str | None, writer: str | None) -> None:
        if picture is not None:
            found = _known_picture(self.article, picture)
            if found is not None:
                fields = {**fields, "picture_id": found}
            else:
                fields = {**fields, "upload_id": self._client.uploads.create(Path(picture)).id}
        self._took(self._client.documents.edit(self._read, fields, writer=writer))

    def step(self, step: Step) -> None:
        documents = self._client.documents
        self._took(documents.undo(self._read) if step == "undo" else documents.redo(self._read))

    def restore(self, version: int) -> None:
        self._took(self._client.documents.restore(self._read, version))

    def versions(self) -> Sequence[Version]:
        return [
            Version(
                one.version,
                one.how,
                one.same_as,
                str((one.edit or {}).get("op", "")),
                one.created_at.isoformat(timespec="seconds"),
                one.words,
            )
            for one in self._client.documents.versions(self._now, limit=100).data
        ]

    def diff(self, from_version: int, to_version: int) -> Sequence[Change]:
        found = self._client.documents.diff(self._now, from_version, to_version)
        return [
            Change(
                one.kind,
                one.block_id,
                one.block_type,
                one.preview,
                tuple((field.name, tuple((part.kind, part.text) for part in field.words)) for field in one.fields),
            )
            for one in found.changes
        ]

    def write(self, out: Path) -> Sequence[Path]:
        self._now = self._client.documents.rendered(self._now)
        names = {"json": "article.json", **FILES}
        files = {names[one.format]: one for one in self._now.artifacts if one.format in names}
        return _written(out, {name: self._client.artifacts.read(one) for name, one in files.items()})

    @property
    def _read(self) -> Document:
        """The document, at the version that the person has read."""
        return self._now if self._expected is None else self._now.model_copy(update={"version": self._expected})

    def _took(self, document: Document) -> None:
        self._now = document
        self._expected = None


def _run_desk(target: str, home: Path | None, library: Path | None) -> RunDesk:
    from interleaf import approot

    approot.enter()
    from workers.editing import EditedRun
    from workers.settings import settings

    chosen = settings()
    if home is not None:
        chosen = chosen.model_copy(update={"home": home.absolute()})
    return RunDesk(EditedRun(_folder_of(target, chosen.runs_dir), chosen, library_dir=library))


def _folder_of(target: str, runs_dir: Path) -> RunFolder:
    """The run of that id, or the one whose newest version lies in that folder. RunUnknown."""
    from interleaf.errors import RunUnknown
    from workers.run.run_folder import RunFolder
    from workers.run.run_versions import RunVersions

    out = Path(target)
    written = out / "article.json"
    if not written.is_file():
        if out.is_dir():
            raise RunUnknown(target, "holds no article.json of interleaf compose.", "Name the run: interleaf runs")
        return RunFolder.at(runs_dir, target)
    wanted = written.read_bytes()
    made = sorted(runs_dir.glob("*/article.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in made:
        folder = RunFolder(path.parent)
        newest = RunVersions(folder).newest().article if (path.parent / "versions").is_dir() else None
        now = path.read_bytes() if newest is None else (newest.model_dump_json(indent=1) + "\n").encode()
        if now == wanted:
            return folder
    raise RunUnknown(target, f"holds the newest version of no run of {runs_dir}.", "Name the run: interleaf runs")


def _theme_of(folder: RunFolder) -> str:
    from interleaf.schema import Brief

    return Brief.model_validate_json(folder.brief_path.read_bytes()).theme


def _known_picture(article: Article, named: str) -> str | None:
    """The id that is meant, unless it is a file: a whole id, or the beginning of one that the piece knows."""
    from interleaf.errors import InvalidRequest

    if Path(named).is_file():
        return None
    if len(named) == 64:
        return named
    found = [one.id for one in article.pictures if len(named) >= 4 and one.id.startswith(named)]
    if len(found) == 1:
        return found[0]
    wrong = "is the beginning of several ids." if found else "is neither a file nor a picture of the piece."
    raise InvalidRequest("--picture", f"{named!r} {wrong}", "See: interleaf edit show TARGET --block ID")


def _written(out: Path, files: dict[str, bytes]) -> list[Path]:
    """Write what differs, each file whole or not at all."""
    from interleaf.whole_file import write_whole

    changed = []
    for name, data in files.items():
        path = out / name
        if not path.is_file() or path.read_bytes() != data:
            changed.append(write_whole(path, data))
    return changed
