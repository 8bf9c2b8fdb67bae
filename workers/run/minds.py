"""Minds: which model a brief's `writer` names, opened once and kept for the runs that follow.

A name is a model of the models folder, or MODEL+ADAPTER with an adapter of the adapters folder. Never a path: briefs
come from strangers.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agents.prompting.mind import Family
from interleaf.errors import InvalidBrief, ModelMissing, shown
from model.weights.adapter_shelf import AdapterShelf
from model.weights.manifest import MANIFEST, read_manifest
from model.weights.shelf import ModelShelf
from workers.run.process_memory import MEMORY
from workers.settings import Settings

# Torch and transformers take seconds to load: they come with the first model that is opened.
if TYPE_CHECKING:
    from model.inference.engine import Engine
    from model.network.config import Task
    from workers.run.mind import EngineMind

__all__ = ["close_minds", "glance_of", "known_writers", "mind_of"]

_ADAPTER_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
# Candidates are looked at with one tile each: a twelfth of the tokens of a picture that is read closely.
_GLANCE_OF_FAMILY: Final = {"2d5-7b": "glance", "4khd-7b": "4khd-glance"}


@dataclass(frozen=True)
class _Opened:
    engine: Engine
    family: Family
    tasks: tuple[Task, Task]
    glance: str | None


_opened: dict[tuple[str, ...], _Opened] = {}
_opening = threading.Lock()


def known_writers(settings: Settings) -> tuple[str, ...]:
    """Names that a brief may say: the models there are, and MODEL+ADAPTER for what one of them was taught."""
    models = [model.name for model in ModelShelf(settings.models_dir).list() if model.manifest or model.foreign]
    adapters = [(one.record.base, one.name) for one in AdapterShelf(settings.adapters_dir).list() if one.record]
    return (*models, *(f"{base}+{name}" for base, name in adapters if base in models))


def glance_of(family: str) -> str | None:
    """The budget of tiles with which a writer of this family looks at pictures; None where pictures have no tiles."""
    return _GLANCE_OF_FAMILY.get(family)


def mind_of(
    name: str,
    settings: Settings,
    pixels: Callable[[str], Path],
    canceled: Callable[[], bool] = lambda: False,
    spent: Callable[[int], None] = lambda tokens: None,
) -> EngineMind:
    """The mind that `name` means, for one run. InvalidBrief when there is none of that name; otherwise as
    model.inference.engines.open_engine and model.weights.teaching_adapter.apply_adapter."""
    from workers.run.mind import EngineMind

    with _opening:
        found = _open(name, settings)
    return EngineMind(
        found.engine,
        pixels,
        name=name,
        family=found.family,
        tasks=found.tasks,
        glance=found.glance,
        canceled=canceled,
        spent=spent,
    )


def _open(name: str, settings: Settings) -> _Opened:
    """The model of that name; another one that is open is closed first, for two rarely fit beside each other."""
    base, plus, adapter = name.partition("+")
    try:
        folder = ModelShelf(settings.models_dir).path(base)
    except ModelMissing as error:
        known = ", ".join(("extractive", *known_writers(settings)))
        raise InvalidBrief(
            "writer", f"{shown(name)!r} is not a writer here.", f"Choose one of: {known}. Or: interleaf models add DIR"
        ) from error
    adapted = _adapter_folder(adapter, settings) if plus else None
    key = (str(folder), str(adapted), settings.model_weights, settings.model_device)
    if key not in _opened:
        _close()
        _opened[key] = _brought(folder, adapted, settings)
    return _opened[key]


def _brought(folder: Path, adapter: Path | None, settings: Settings) -> _Opened:
    from interleaf.foreign_logs import hush_progress
    from model.inference.engines import open_engine
    from model.weights.adapter_record import read_record

    hush_progress()
    engine = open_engine(
        folder,
        weights=None if settings.model_weights == "kept" else settings.model_weights,
        device=settings.model_device or None,
        adapter=adapter,
    )
    if not (folder / MANIFEST).is_file():
        return _Opened(engine, "chat", ("base", "base"), None)
    manifest = read_manifest(folder)
    if adapter is not None:
        # It was taught while these adapters acted, for whatever it was taught.
        task = read_record(adapter).task
        tasks: tuple[Task, Task] = (task, task)
    elif manifest.merged_task != "base":
        # What was merged into the weights acts whatever is asked.
        tasks = (manifest.merged_task, manifest.merged_task)
    else:
        writes = {"lora_sft", "lora_dpo"} <= set(manifest.adapters)
        tasks = ("write" if writes else "base", "base")
    return _Opened(engine, "xcomposer", tasks, glance_of(manifest.family))


def _adapter_folder(name: str, settings: Settings) -> Path:
    folder = settings.adapters_dir / name
    if not _ADAPTER_NAME.fullmatch(name) or not folder.is_dir():
        known = ", ".join(n for n in known_writers(settings) if "+" in n) or "none yet"
        raise InvalidBrief(
            "writer",
            f"there is no adapter {shown(name)!r} (there are: {known}).",
            "Teach one: interleaf tune MODEL SET --name NAME",
        )
    return folder


def close_minds() -> None:
    """Let go of every model that is open."""
    with _opening:
        _close()


def _close() -> None:
    if not _opened:
        return
    while _opened:
        _opened.popitem()[1].engine.close()
    # The next one may need all the memory that this one had.
    MEMORY.tidy_all()
