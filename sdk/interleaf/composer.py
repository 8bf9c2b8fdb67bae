"""Composer: composing in this process, with the same code as the workers of the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interleaf import approot
from interleaf.brief_file import brief_from, read_brief
from interleaf.errors import CompositionFailed, InvalidBrief, NeedsInput
from interleaf.schema import Article, Block, Brief, Event, Figure, Report, Run
from interleaf.whole_file import write_whole

if TYPE_CHECKING:
    from workers.run.picture_shelf import PictureShelf

__all__ = ["ComposedArticle", "Composer"]

# What a file name's ending says of the format wanted.
FORMAT_OF_SUFFIX = {".html": "html", ".htm": "html", ".zip": "md", ".md": "md", ".json": "json"}


class ComposedArticle:
    """A finished piece with its pictures at hand: `document` is the Article, `save` writes it."""

    def __init__(self, document: Article, run_id: str, pictures: PictureShelf, theme: str = "paper") -> None:
        self.document = document
        self.run_id = run_id
        self._pictures = pictures
        self._theme = theme

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
        from workers.run.picture_shelf import PictureShelf
        from workers.run.run_folder import RunFolder
        from workers.settings import settings
        from workers.store.ids import new_run_id

        chosen = settings()
        if self._home is not None:
            chosen = chosen.model_copy(update={"home": self._home.absolute()})
        folder = RunFolder.at(chosen.runs_dir, run_id or new_run_id())
        composing = Composing(folder, chosen, library_dir=self._library)
        self._last = None
        for event in composing.stream(brief, base, answer):
            if composing.article is not None:
                kept = self._brief = Brief.model_validate_json(folder.brief_path.read_bytes())
                shelf = PictureShelf(folder, self._library or chosen.library_dir)
                self._last = ComposedArticle(composing.article, folder.run_id, shelf, kept.theme)
            yield event

    def _finished(self, events: Iterator[Event]) -> ComposedArticle:
        asked: Event | None = None
        for event in events:  # to the end: the run's lock is let go there
            asked = event if event.kind == "needs_input" else None
        if asked is not None:
            raise NeedsInput(asked.run_id, asked.data)
        if self._last is None:
            raise CompositionFailed("run", "ended without an article.", "Resume it, or report this.")
        return self._last
