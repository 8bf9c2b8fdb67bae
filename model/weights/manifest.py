"""Manifest: what a converted model is made of, in interleaf.json; read without torch, so that listing is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from interleaf.errors import WeightsUnusable, shown
from model.json_file import read_object

__all__ = ["ADD_AGAIN", "MANIFEST", "FileFact", "Manifest", "Source", "adapters_of", "read_manifest"]

MANIFEST: Final = "interleaf.json"
FORMAT: Final = 1
ADD_AGAIN: Final = "Add the model again: interleaf models add"

FileName = Annotated[str, StringConstraints(pattern=r"^(adapters/)?[A-Za-z0-9][A-Za-z0-9_.-]{0,200}$")]


class FileFact(BaseModel):
    """Length and content of one file of the folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Source(BaseModel):
    """Where the weights came from: a folder's name or a hub id, and a fingerprint of the files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(max_length=500)
    revision: str | None = Field(None, max_length=100)
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What a converted model is made of; every file but the manifest itself is listed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    family: str = Field(max_length=40)
    source: Source
    tensors: int = Field(ge=1)
    adapters: dict[str, int] = Field(max_length=10)
    merged_task: Literal["base", "write", "web"] = "base"
    dtype: str = Field(max_length=20)
    files: dict[FileName, FileFact] = Field(max_length=2_000)

    @property
    def nbytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.bytes for file in self.files.values())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a converted model. WeightsUnusable when `folder` is none, or was made by a newer interleaf."""
    if not (folder / MANIFEST).is_file():
        problem = f"has no {MANIFEST}: it is no model of ours."
        raise WeightsUnusable(folder.name or str(folder), problem, f"{ADD_AGAIN} DIR")
    found = read_object(folder / MANIFEST)
    if found.get("format") != FORMAT:
        problem = f"its {MANIFEST} is of format {shown(found.get('format'))}; this interleaf reads {FORMAT}."
        raise WeightsUnusable(folder.name, problem, ADD_AGAIN)
    try:
        return Manifest.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{MANIFEST} is damaged: {shown('.'.join(map(str, first['loc'])))}: {first['msg']}."
        raise WeightsUnusable(folder.name, problem, ADD_AGAIN) from error


def adapters_of(folder: Path) -> tuple[str, ...]:
    """Names of the task adapters that the folder holds, such as ("lora_sft", "lora_dpo", "lora_web")."""
    return tuple(read_manifest(folder).adapters)
