"""Wiring: the one place that knows the concrete classes; it hands a run its Context.

Imports neither Celery nor a database driver. Encoders are loaded at their first use, not here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import BoundedSemaphore
from typing import Final

from agents.context import Context, Embedder, Writer
from agents.extractive import ExtractiveWriter
from interleaf import __version__
from interleaf.errors import InvalidBrief, PictureMissing, RunCanceled
from interleaf.schema import Brief, Picture, PictureFilter, PictureHit, PictureQuery, SourceText
from retrieval.library import PictureLibrary
from workers.run.intake import Material
from workers.run.searched_libraries import SearchedLibraries
from workers.run.shelf import make_embedder, open_library
from workers.settings import Settings

__all__ = ["brief_sha256", "edit_context", "make_embedder", "make_writer", "open_context", "open_library"]

# An extractive writer waits for an encoder that has all cores already, and whoever goes on with the run of a lost
# worker drafts again what was under way; a model answers many questions side by side.
EXTRACTIVE_SECTIONS = 1
MODEL_SECTIONS = 64
_AS_NAMED: Final[Mapping[str, str]] = {}


def make_writer(
    name: str,
    embedder: Embedder,
    settings: Settings,
    pixels: Callable[[str], Path],
    canceled: Callable[[], bool] = lambda: False,
    spent: Callable[[int], None] = lambda tokens: None,
) -> Writer:
    """The writer of that name: `extractive`, MODEL, or MODEL+ADAPTER. `pixels`: the file of a picture of the run.
    A model asks `canceled` before each token and tells `spent` how many it wrote. InvalidBrief lists those there
    are."""
    if name == "extractive":
        return ExtractiveWriter(embedder)
    from agents.model_writer import ModelWriter
    from workers.run.minds import mind_of

    return ModelWriter(mind_of(name, settings, pixels, canceled, spent), embedder)


def brief_sha256(brief: Brief, material: Material, called: Mapping[str, str] = _AS_NAMED) -> str:
    """Hash of what was asked, for the run record: contents count, folders do not, nor do ids of ours (`called`: what
    people call a collection, where that is not its name)."""
    asked = brief.model_dump(mode="json", exclude={"sources", "pictures"})
    asked["libraries"] = [called.get(name, name) for name in brief.libraries]
    asked["sources"] = [source.id for source in material.sources]
    asked["pictures"] = sorted(candidate.picture.id for candidate in material.candidates)
    return sha256(json.dumps(asked, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class _Turns(BoundedSemaphore):
    """How many sections are written at once; those that wait for their turn when a run is canceled do not begin."""

    def __init__(self, turns: int, canceled: Callable[[], bool]) -> None:
        super().__init__(turns)
        self._is_canceled = canceled

    def __enter__(self, blocking: bool = True, timeout: float | None = None) -> bool:
        entered = super().__enter__(blocking, timeout)
        if self._is_canceled():
            self.release()
            raise RunCanceled("run", "was canceled before all its sections were written.")
        return entered


class _NoLibrary:
    """The finder of a run that searches no library."""

    def search(self, queries: Sequence[PictureQuery], k: int, where: PictureFilter) -> list[list[PictureHit]]:
        return [[] for _ in queries]

    def picture(self, picture_id: str) -> Picture:
        raise PictureMissing(picture_id, "is in no library of this run.", "Name a collection in the brief.")

    def pixels_path(self, picture_id: str) -> Path:
        raise PictureMissing(picture_id, "is in no library of this run.", "Name a collection in the brief.")

    def fingerprints(self) -> dict[str, str]:
        return {}


def no_pixels(picture_id: str) -> Path:
    """For runs that show nobody a picture."""
    raise PictureMissing(picture_id, "cannot be looked at in this run.", "")


@contextmanager
def open_context(
    brief: Brief,
    material: Material,
    settings: Settings,
    *,
    library_dir: Path | None = None,
    writer: Writer | None = None,
    pixels: Callable[[str], Path] = no_pixels,
    called: Mapping[str, str] = _AS_NAMED,
    canceled: Callable[[], bool] = lambda: False,
    spent: Callable[[int], None] = lambda tokens: None,
) -> Iterator[Context]:
    """What one run may use. A library is opened only when the brief names collections. `pixels`: the file of a
    picture, for writers that look at pictures. `called`: what people call a collection, where that is not its name.
    `canceled` is asked before each section, and as in `make_writer`."""
    embedder = make_embedder(settings)
    library = open_library(settings, library_dir, embedder) if brief.libraries else None
    try:
        if library is not None:
            _check_collections(brief, library)
        yield Context(
            writer=writer or make_writer(brief.writer, embedder, settings, pixels, canceled, spent),
            finder=_NoLibrary() if library is None else SearchedLibraries(library, brief.libraries, called),
            sources=material.sources,
            candidates=material.candidates,
            notices=material.notices,
            searches=library is not None,
            drafting=_Turns(EXTRACTIVE_SECTIONS if brief.writer == "extractive" else MODEL_SECTIONS, canceled),
            where=PictureFilter(collections=brief.libraries, licence_policy=brief.licence_policy),
            encoder_name=embedder.name,
            encoder_sha256=embedder.sha256,
            interleaf_version=__version__,
            picture_encoder_name=settings.pixel_encoder if library is not None else "",
            brief_sha256=brief_sha256(brief, material, called),
        )
    finally:
        if library is not None:
            library.close()


def edit_context(
    writer: str,
    embedder: Embedder,
    sources: Sequence[SourceText],
    settings: Settings,
    *,
    made: Writer | None = None,
    pixels: Callable[[str], Path] = no_pixels,
    canceled: Callable[[], bool] = lambda: False,
    spent: Callable[[int], None] = lambda tokens: None,
) -> Context:
    """What the edit of one block may use: the writer of that name (or the one that is `made` already), and what the
    piece was made from. The other arguments as in `make_writer`."""
    made = made or make_writer(writer, embedder, settings, pixels, canceled, spent)
    return Context(writer=made, finder=_NoLibrary(), sources=tuple(sources))


def _check_collections(brief: Brief, library: PictureLibrary) -> None:
    there = library.fingerprints()
    for i, name in enumerate(brief.libraries):
        if name not in there:
            known = ", ".join(sorted(there)) or "none yet"
            raise InvalidBrief(
                f"libraries[{i}]",
                f"there is no collection {name!r} (there are: {known}).",
                "Add pictures with: interleaf library add FOLDER --collection NAME",
            )
