"""Part command: how a part of the service is started as a process of its own, by its role."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

from interleaf import approot
from workers.settings import Settings, environment_with

__all__ = ["ROLES", "WORKERS", "Role", "Worker", "environment_of", "part_command"]

Worker = Literal["compose", "render", "library", "beat"]
Role = Literal["api", "compose", "render", "library", "beat"]

WORKERS: Final[tuple[Worker, ...]] = get_args(Worker)
ROLES: Final[tuple[Role, ...]] = get_args(Role)


def part_command(role: Role, *options: str) -> list[str]:
    """The command line of that part. The API lies above this room, so it goes by its name."""
    # -P: what lies in the folder that somebody happens to be in is not ours to import.
    python = [sys.executable, "-P", "-m"]
    return [*python, "api", *options] if role == "api" else [*python, "workers.service.worker_part", role, *options]


def environment_of(chosen: Settings, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Its environment: this process's own, with the data folder that was chosen and the place of our code in it."""
    root = approot.application_root()
    places: Sequence[str] = [str(place) for place in (root, root / "sdk") if place.is_dir()]
    return environment_with({"INTERLEAF_HOME": str(chosen.home), **(more or {})}, python_path=places)
