"""Run: what a finished piece needs to be made again. No clock times: the same seed gives the same bytes."""

from __future__ import annotations

from pydantic import Field

from interleaf.schema.word import Line, Word

__all__ = ["Run"]


class Run(Word):
    interleaf_version: Line
    writer: Line
    writer_version: Line
    encoder: Line = Field(description="Name of the text encoder")
    encoder_sha256: str = ""
    picture_encoder: Line = Field("", description="Name of the encoder of pictures; empty where none was used")
    seed: int = 0
    brief_sha256: str
    libraries: dict[str, str] = Field(
        default_factory=dict, description="Collection that was searched → fingerprint of its contents at that time"
    )
