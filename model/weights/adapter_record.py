"""Adapter record: what an adapter of ours is, as its folder says in teaching.json; read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from interleaf.errors import WeightsUnusable, shown
from model.json_file import read_object

__all__ = ["FORMAT", "RECORD", "AdapterRecord", "read_record"]

RECORD: Final = "teaching.json"
FORMAT: Final = 1


class AdapterRecord(BaseModel):
    """What an adapter is: of which base, for which task, how large, how it was taught, the sha256 of its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    base: str = Field(max_length=500)
    base_fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    set_fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    task: Literal["base", "write", "web"] = "base"
    rank: int = Field(ge=1, le=4_096)
    alpha: int = Field(ge=1, le=65_536)
    steps: int = Field(ge=0)
    settings: dict[str, str | int | float | bool | None] = Field(max_length=50)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def read_record(folder: Path) -> AdapterRecord:
    """What the adapter in `folder` is. WeightsUnusable when it holds none, or was made by a newer interleaf."""
    if not (folder / RECORD).is_file():
        raise WeightsUnusable(str(folder), f"has no {RECORD}: it holds no finished adapter.", "Run: interleaf tune")
    found = read_object(folder / RECORD)
    if found.get("format") != FORMAT:
        raise WeightsUnusable(str(folder), f"is of format {shown(found.get('format'))}; this interleaf reads {FORMAT}.")
    try:
        return AdapterRecord.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{RECORD} is damaged: {shown('.'.join(map(str, first['loc'])))}: {first['msg']}."
        raise WeightsUnusable(str(folder), problem, "Copy the adapter again.") from error
