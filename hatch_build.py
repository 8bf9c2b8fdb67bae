"""Build hook: service folders travel in the wheel as interleaf/_app; an editable install uses the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("agents", "api", "evals", "model", "retrieval", "templates", "workers")


class ServiceFolders(BuildHookInterface):  # type: ignore[type-arg]
    """Adds each service folder that exists to a standard wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        for name in FOLDERS:
            if (Path(self.root) / name).is_dir():
                build_data["force_include"][str(Path(self.root) / name)] = f"interleaf/_app/{name}"
