"""Composer: composing in this process, with the same code as the workers of the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interleaf import approot
from interleaf.brief_file import brief_from, read_brief
from interleaf.errors import CompositionFailed, EditRefused, InvalidBrief, NeedsInput
from interleaf.given_edit import GivenEdit, edit_of
from interleaf.schema import Article, Block, Brief, Event, Figure, Report, Run
from interleaf.whole_file import write_whole

if TYPE_CHECKING:
    from workers.editing import EditedRun
    from workers.run.picture_shelf import PictureShelf
    from workers.run.run_folder import RunFolder
    from workers.run.run_versions import RunVersion
    from workers.settings import Settings

__all__ = ["ComposedArticle", "Composer"]

# What a file name's ending says of the format wanted.
FORMAT_OF_SUFFIX = {".html": "html", ".htm": "html", ".zip": "md", ".md": "md", ".json": "json"}


class ComposedArticle:
    """A finished piece with its pictures at hand: `document` is the Article, `save` writes it, `edit` changes it.

    One version of it: an edit gives another one, and leaves this as it is.
    """

    def __init__(
        self,
        document: Article,
        run_id: str,
        pictures: PictureShelf,
        theme: str = "paper",
        *,
        version: int = 1,
        edits: EditedRun | None = None,
    ) -> None:
        self.document = document
        self.run_id = run_id
        self.version = version
        """1 as it was composed; every edit makes the next."""
        self._pictures = pictures
        self._theme = theme
        self._edits = edits

    @property
    def title(self) -> str:
        return self.document.title

    @property
    def blocks(self) -> tuple[Block, ...]:
        return self.document.blocks

    @property
    def figures(self) -> tuple[Figure, ...]:
        return self.document.figures

    @property
    def report(self) -> Report:
        return self.document.report

    @property
    def run(self) -> Run:
        return self.document.run

    def edit(self, edit: GivenEdit, *, picture: str | Path | None = None, writer: str | None = None) -> ComposedArticle:
        """The piece with one block changed; everything else stays byte for byte.

        `edit`: of `interleaf.schema.edit`, or its fields, such as `{"op": "rewrite", "block_id": "b-3f"}`. `picture`:
        a file to show, for `swap_picture` and `insert_picture` without an id. `writer`: in place of the one that wrote
        the piece. VersionStale when somebody edited it meanwhile: open it again (`Composer.open`). BlockUnknown;
        EditRefused; NothingToSay when the notes hold no other sentence.
        """
        run = self._run
        if picture is not None:
            if not isinstance(edit, Mapping):
                raise InvalidBrief("picture", "goes with the fields of an edit.", "Give the edit as a mapping.")
            edit = {**edit, "picture_id": run.take_in(Path(picture))}
        return self._next(run.edit(edit_of(edit), self.version, writer))

    def undo(self) -> ComposedArticle:
        """The piece as it was before the last step that is not undone. EditRefused when there is none; VersionStale."""
        return self._next(self._run.undo(self.version))

    def redo(self) -> ComposedArticle:
        """An undo taken back. EditRefused when nothing was undone since the last edit; VersionStale."""
        return self._next(self._run.redo(self.version))

    def restore(self, version: int) -> ComposedArticle:
        """An earlier version as the newest. ObjectUnknown when there is none of that number; VersionStale."""
        return self._next(self._run.restore(self.version, version))

    @property
    def _run(self) -> EditedRun:
        if self._edits is None:
            raise EditRefused("piece", "it has no run folder to be edited in.", "Open it with Composer.open(run id).")
        return self._edits

    def _next(self, made: RunVersion) -> ComposedArticle:
        return ComposedArticle(
            made.article, self.run_id, self._pictures, self._theme, version=made.version, edits=self._edits
        )

    def export(self, format: str, folder: str | Path, theme: str | None = None) -> Path:
        """Write one format into `folder` and return the file. OutputUnwritable leaves nothing half-written."""
        from templates.press import export

        return export(self.document, self._pictures, format, Path(folder), theme or self._theme)

    def save(self, path: str | Path, theme: str | None = None) -> Path:
        """Write `path`; its ending says the format: .html, .zip (Markdown with pictures), .json."""
        path = Path(path)
        kind = FORMAT_OF_SUFFIX.get(path.suffix.lower())
        if kind is None:
            known = ", ".join(sorted(FORMAT_OF_SUFFIX))
            raise InvalidBrief("path", f"{path.name!r} names no known format.", f"End it with one of: {known}.")
        if kind == "json":
            return write_whole(path, self.document_json())
        from templates.press import export_file

        return export_file(self.document, self._pictures, kind, path, theme or self._theme)

    def document_json(self) -> bytes:
        """The Article as UTF-8 JSON: what `article.json` holds."""
        return (self.document.model_dump_json(indent=1) + "\n").encode()

    def __repr__(self) -> str:
        r = self.report
        return f"<ComposedArticle {self.title!r}: {r.words} words, {r.pictures_placed} pictures>"


class Composer:
    """Composes briefs in this process. Nothing is loaded before the first composition.

    `home` keeps runs and the picture library (default: the INTERLEAF_HOME setting); `library` is another
    picture library folder.
    """

    def __init__(self, home: str | Path | None = None, library: str | Path | None = None) -> None:
        self._home = None if home is None else Path(home)
        self._library = None if library is None else Path(library)
        self._last: ComposedArticle | None = None
        self._brief: Brief | None = None

    @property
    def last_brief(self) -> Brief:
        """The brief of the last `stream`, as the run keeps it (paths absolute)."""
        if self._brief is None:
            raise InvalidBrief("Composer", "has composed nothing yet.", "Call compose or stream first.")
        return self._brief

    @property
    def article(self) -> ComposedArticle | None:
        """What the last finished `stream` made."""
        return self._last

    def compose(self, brief: Brief | Mapping[str, Any] | str | Path, run_id: str | None = None) -> ComposedArticle:
        """Compose and return the piece. A string or path names a brief file; a mapping holds its fields.

        Raises NeedsInput when the brief asks for approvals, and InterleafError's other kinds.
        """
        return self._finished(self.stream(brief, run_id))

    def resume(self, run_id: str, answer: Any = None) -> ComposedArticle:
        """Go on with a run that was killed, or that waits for `answer` (`"approve"`, `"cancel"`, or an edit)."""
        return self._finished(self.stream_resumed(run_id, answer))

    def open(self, run_id: str) -> ComposedArticle:
        """The newest version of a piece that was composed, to be edited or exported. RunUnknown."""
        approot.enter()
        from workers.run.run_folder import RunFolder

        chosen = self._settings()
        return self._opened(RunFolder.at(chosen.runs_dir, run_id), chosen)

    def stream(self, brief: Brief | Mapping[str, Any] | str | Path, run_id: str | None = None) -> Iterator[Event]:
        """Compose, yielding events as the workflow goes; afterwards the piece is in `article`."""
        if isinstance(brief, str | Path):
            asked, base = read_brief(Path(brief))
        else:
            asked, base = brief_from(brief), Path.cwd()
        return self._stream(run_id, asked, base, None)

    def stream_from(self, brief: Brief, base: Path, run_id: str | None = None) -> Iterator[Event]:
        """`stream` for a brief whose relative paths start at `base`."""
        return self._stream(run_id, brief, base, None)

    def stream_resumed(self, run_id: str, answer: Any = None) -> Iterator[Event]:
        """`resume`, yielding events."""
        return self._stream(run_id, None, None, answer)

    def _stream(self, run_id: str | None, brief: Brief | None, base: Path | None, answer: Any) -> Iterator[Event]:
        approot.enter()
        from workers.composing import Composing
        from workers.run.run_folder import RunFolder
        from workers.store.ids import new_run_id

        chosen = self._settings()
        folder = RunFolder.at(chosen.runs_dir, run_id or new_run_id())
        composing = Composing(folder, chosen, library_dir=self._library)
        self._last = None
        for event in composing.stream(brief, base, answer):
            if composing.article is not None:
                self._brief = Brief.model_validate_json(folder.brief_path.read_bytes())
                self._last = self._opened(folder, chosen)
            yield event

    def _settings(self) -> Settings:
        from workers.settings import settings

        chosen = settings()
        return chosen if self._home is None else chosen.model_copy(update={"home": self._home.absolute()})

    def _opened(self, folder: RunFolder, chosen: Settings) -> ComposedArticle:
        from workers.editing import EditedRun

        run = EditedRun(folder, chosen, library_dir=self._library)
        newest = run.versions.newest()
        theme = Brief.model_validate_json(folder.brief_path.read_bytes()).theme
        return ComposedArticle(newest.article, folder.run_id, run.shelf, theme, version=newest.version, edits=run)

    def _finished(self, events: Iterator[Event]) -> ComposedArticle:
        asked: Event | None = None
        for event in events:  # to the end: the run's lock is let go there
            asked = event if event.kind == "needs_input" else None
        if asked is not None:
            raise NeedsInput(asked.run_id, asked.data)
        if self._last is None:
            raise CompositionFailed("run", "ended without an article.", "Resume it, or report this.")
        return self._last
