"""Context: what the workflow may use in a run, as Protocols; and the values that pass between steps.

`agents/` knows no torch, no faiss and no concrete class of another folder: `workers/wiring.py`
hands them in. Letters: N texts, D vector width, K candidates, S places (0..len(blocks)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from interleaf.schema import (
    Brief,
    Notice,
    Outline,
    Picture,
    PictureFilter,
    PictureHit,
    PictureQuery,
    SourceSpan,
    SourceText,
    TextBlock,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
else:
    Vectors = Any  # for annotations alone: who edits a piece by its words need not load numpy


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into unit vectors. Deterministic; remembers what it has already encoded in this run."""

    @property
    def name(self) -> str:
        """The encoder's name, such as `all-MiniLM-L6-v2`."""

    @property
    def sha256(self) -> str:
        """Hash of the weights, or an empty string."""

    @property
    def dimension(self) -> int:
        """D."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """(N, D) float32 rows of unit length, in the order of `texts`; a blank text gives a zero row."""


@runtime_checkable
class PictureFinder(Protocol):
    """Searches the person's picture library."""

    def search(self, queries: Sequence[PictureQuery], k: int, where: PictureFilter) -> list[list[PictureHit]]:
        """At most k allowed hits per query, best first."""

    def picture(self, picture_id: str) -> Picture:
        """The picture with that id. PictureMissing when there is none."""

    def pixels_path(self, picture_id: str) -> Path:
        """The file that holds its pixels, safe to open with Pillow. PictureMissing when there is none."""

    def fingerprints(self) -> dict[str, str]:
        """Collection that the run may search → hash of its contents, for the run record."""


@dataclass(frozen=True)
class OutlineTask:
    brief: Brief
    sources: tuple[SourceText, ...]
    language: str


@dataclass(frozen=True)
class DraftTask:
    brief: Brief
    sources: tuple[SourceText, ...]
    language: str
    outline: Outline
    section_index: int


@dataclass(frozen=True)
class Place:
    """A picture may stand after `slot` blocks (0 = before the first). `desire` in 0..1: how much the
    text asks for a picture here; `cue` quotes the words that ask ("the figure below")."""

    slot: int
    desire: float
    cue: str = ""


@dataclass(frozen=True)
class SpotTask:
    title: str
    language: str
    blocks: tuple[TextBlock, ...]
    pictures_wanted: int | None  # None: as many as fit


@dataclass(frozen=True)
class Candidate:
    """A picture that may be used. `anchor` is where a source document showed it;
    `library_scores` maps a slot to the library's score for the query of that slot. `look` is what
    `retrieval.pictures.look.look_of` says of its pixels (120 numbers), or empty where nobody looked: pictures of
    one series look alike, which helps where captions are missing."""

    picture: Picture
    origin: Literal["given", "document", "library"] = "given"
    anchor: SourceSpan | None = None
    library_scores: dict[int, float] = field(default_factory=dict)
    look: tuple[float, ...] = ()


@dataclass(frozen=True)
class ChooseTask:
    title: str
    language: str
    blocks: tuple[TextBlock, ...]
    places: tuple[Place, ...]
    candidates: tuple[Candidate, ...]
    pictures_wanted: int | None
    seed: int = 0


@dataclass(frozen=True)
class RunnerUp:
    picture_id: str
    score: float


@dataclass(frozen=True)
class Choice:
    """One placed picture: `score` in 0..1 (how likely it belongs, and here), `reason` for a person."""

    slot: int
    picture_id: str
    score: float
    reason: str
    alternatives: tuple[RunnerUp, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something a review noticed. `remedy` tells the workflow what to do: `drop` the block, or `note` it."""

    code: str
    message: str
    block_id: str | None = None
    remedy: Literal["drop", "note"] = "note"


@dataclass(frozen=True)
class EditTask:
    """One paragraph to change (`text`), or one to insert between `before` and `after`. `wish`: what the person wants
    of it; insertion needs one."""

    operation: Literal["rewrite", "expand", "shorten", "insert"]
    language: str
    text: str = ""
    before: str = ""
    after: str = ""
    wish: str = ""
    seed: int = 0


@runtime_checkable
class Editor(Protocol):
    """Who can change single paragraphs of a finished piece. Not every writer can."""

    def edit(self, task: EditTask) -> str:
        """The new paragraph's text. InvalidBrief names what the task lacks."""


@runtime_checkable
class Writer(Protocol):
    """With whom the workflow thinks. The methods are the papers' steps; all are pure for a given seed.

    Contract (tests/contracts/writer.py): ids that come back were given; slots lie in 0..len(blocks),
    none twice, no picture twice; text blocks carry provenance; an answer that cannot be given is an
    exception of interleaf.errors, never text.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def outline(self, task: OutlineTask) -> Outline:
        """Plan the piece. Must respect `task.brief.outline` when it is given."""

    def draft(self, task: DraftTask) -> tuple[TextBlock, ...]:
        """Write one section, its heading block first when the section has a heading."""

    def spot(self, task: SpotTask) -> tuple[Place, ...]:
        """Image spotting: the places where a picture may stand."""

    def caption(self, task: SpotTask, places: Sequence[Place]) -> tuple[PictureQuery, ...]:
        """Image captioning: for each place, what a fitting picture would show (the search query)."""

    def choose(self, task: ChooseTask) -> tuple[Choice, ...]:
        """Image selection: which pictures stand where, decided for the whole piece at once."""

    def review(self, brief: Brief, title: str, blocks: Sequence[TextBlock]) -> tuple[Finding, ...]:
        """What is wrong with the draft."""


@dataclass(frozen=True)
class Context:
    """What one run may use. Frozen; the workflow reaches nothing else."""

    writer: Writer
    finder: PictureFinder
    sources: tuple[SourceText, ...] = ()
    # Pictures handed over with the brief or shown by its notes.
    candidates: tuple[Candidate, ...] = ()
    # What is told of reading them, for the report.
    notices: tuple[Notice, ...] = ()
    # Whether the library is searched, and what a hit must satisfy.
    searches: bool = False
    where: PictureFilter = field(default_factory=PictureFilter)
    # How many sections are written at once (the writer's limit, not the graph's: see MAX_CONCURRENCY there).
    drafting: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(2))
    # For the run record.
    encoder_name: str = ""
    encoder_sha256: str = ""
    picture_encoder_name: str = ""
    interleaf_version: str = ""
    brief_sha256: str = ""
