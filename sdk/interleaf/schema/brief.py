"""Brief: what a person asks for."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from interleaf.schema.licence import LicencePolicy
from interleaf.schema.outline import Outline
from interleaf.schema.source import Source
from interleaf.schema.word import LanguageTag, Line, Prose, Word

__all__ = ["Approvals", "Brief", "Budget", "GivenPicture"]

MIN_LENGTH_WORDS = 50
MAX_LENGTH_WORDS = 50_000
MAX_INSTRUCTION_CHARS = 20_000
# Sections of a given outline may add up to this much more or less than `length_words`.
LENGTH_TOLERANCE = 0.25

FormatName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,15}$")]


class GivenPicture(Word):
    """Pictures handed over with the brief: a file, a folder or a zip archive."""

    path: str
    name: Line = Field("", description="What a single file is called; its own name when empty")
    caption: Prose | None = None
    alt: Prose | None = None
    author: Line | None = None
    licence: Line | None = None
    source_url: Line | None = None


class Budget(Word):
    """Limits of one job. None: no limit of ours."""

    seconds: float | None = Field(None, gt=0)
    tokens: int | None = Field(None, gt=0)


class Approvals(Word):
    """Where the workflow stops and waits for a person."""

    outline: bool = False
    pictures: bool = False
    on_timeout: Literal["approve", "cancel"] = "cancel"
    timeout_s: float | None = Field(None, gt=0)


class Brief(Word):
    """An order for one piece. Only `instruction` is required; a writer may need more and says so."""

    kind: Literal["article", "webpage", "resume_page", "screenshot_page"] = "article"
    instruction: Annotated[Prose, Field(max_length=MAX_INSTRUCTION_CHARS)]
    title: Line = Field("", description="The title to use; the writer finds one when empty")
    outline: Outline | None = None
    sources: tuple[Source, ...] = Field((), max_length=10_000)
    pictures: tuple[GivenPicture, ...] = Field((), max_length=100_000)
    libraries: tuple[Line, ...] = Field((), max_length=100, description="Collections to draw pictures from")
    language: LanguageTag = "auto"
    style: Annotated[Prose, Field(max_length=MAX_INSTRUCTION_CHARS)] = ""
    guidelines: Annotated[Prose, Field(max_length=MAX_INSTRUCTION_CHARS)] = ""
    length_words: int | None = Field(None, ge=MIN_LENGTH_WORDS, le=MAX_LENGTH_WORDS)
    pictures_wanted: Literal["auto"] | Annotated[int, Field(ge=0, le=500)] = "auto"
    licence_policy: LicencePolicy = LicencePolicy()
    writer: Line = "extractive"
    seed: int = Field(0, ge=0, le=2**63 - 1)
    budget: Budget = Budget()
    formats: tuple[FormatName, ...] = Field(("html", "md"), max_length=16)
    theme: FormatName = "paper"
    approvals: Approvals = Approvals()

    @field_validator("instruction")
    @classmethod
    def _instruction_says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the instruction is empty; say in a sentence what the piece should be about")
        return value

    @field_validator("sources", "pictures", mode="before")
    @classmethod
    def _bare_paths(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [value]
        if isinstance(value, list | tuple):
            return [{"path": v} if isinstance(v, str) else v for v in value]
        return value

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        if self.outline is None or self.length_words is None:
            return self
        lengths = [s.length_words for s in self.outline.sections]
        given = [n for n in lengths if n is not None]
        total = sum(given)
        everything_given = bool(given) and len(given) == len(lengths)
        too_long = total > self.length_words * (1 + LENGTH_TOLERANCE)
        too_short = everything_given and total < self.length_words * (1 - LENGTH_TOLERANCE)
        if too_long or too_short:
            raise ValueError(
                f"length_words is {self.length_words} but the outline's sections add up to {total}; "
                "change one of them, or leave the sections' lengths out"
            )
        return self
