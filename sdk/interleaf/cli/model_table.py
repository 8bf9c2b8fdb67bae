"""Model table: the models of the shelf as rows for a person, and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interleaf.cli.printing import console, say, size_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.weights.manifest import Manifest
    from model.weights.shelf import ShelvedModel

__all__ = ["described", "model_record", "model_table"]


def model_record(model: ShelvedModel) -> dict[str, Any]:
    """A model as JSON has it. `writer`: whether a brief can name it."""
    record: dict[str, Any] = {"name": model.name, "folder": str(model.folder)}
    if model.manifest is not None:
        return {**record, **model.manifest.model_dump(mode="json"), "writer": True}
    if model.foreign is not None:
        return {**record, "model_type": model.foreign.model_type, "bytes": model.foreign.nbytes, "writer": True}
    return {**record, "problem": model.problem, "writer": False}


def model_table(found: Sequence[ShelvedModel]) -> None:
    """The models, what they can be asked for, and how one of them becomes a writer."""
    from rich.table import Table
    from rich.text import Text

    table = Table("name", "family", "kind", "size", "tasks", "source")
    for model in found:
        table.add_row(*(Text(cell) for cell in _cells(model)))
    console().print(table)
    usable = [model.name for model in found if model.manifest or model.foreign]
    if usable:
        say(
            f"as a writer: interleaf compose brief.yaml --writer {usable[0]}, or writer: {usable[0]} in the brief",
            "dim",
        )


def described(model: ShelvedModel) -> str:
    """A model in a line."""
    if model.foreign is not None:
        other = model.foreign
        return f"{other.model_type}, a chat model of transformers · {size_of(other.nbytes)} · copied as it is"
    made = model.manifest
    if made is None:
        return model.problem
    merged = f" · merged for {made.merged_task}" if made.merged_task != "base" else ""
    return (
        f"{made.family} · {made.tensors:,} tensors · {made.dtype} · {size_of(made.nbytes)} · "
        f"adapters: {_adapters(made)}{merged}"
    )


# Inside


def _cells(model: ShelvedModel) -> list[str]:
    made, other = model.manifest, model.foreign
    if made is not None:
        return [model.name, made.family, made.dtype, size_of(made.nbytes), _tasks(made), made.source.name]
    if other is not None:
        return [model.name, other.model_type, "", size_of(other.nbytes), "chat", "transformers (not checked)"]
    return [model.name, "?", "", "", "", model.problem]


def _adapters(made: Manifest) -> str:
    return ", ".join(f"{name} (rank {rank})" for name, rank in made.adapters.items()) or "none"


def _tasks(made: Manifest) -> str:
    """The tasks that the model can be asked for."""
    if made.merged_task != "base":
        return made.merged_task
    write = ["write"] if {"lora_sft", "lora_dpo"} <= set(made.adapters) else []
    return ", ".join(["base", *write, *(["web"] if "lora_web" in made.adapters else [])])
