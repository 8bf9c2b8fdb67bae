"""Print what interleaf and the extras that are named require, a line each: for an image that installs them first."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(extras: list[str]) -> list[str]:
    """Those of the base and of `extras`, none twice. SystemExit names an extra that there is not."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    offered: dict[str, list[str]] = project["optional-dependencies"]
    unknown = [name for name in extras if name not in offered]
    if unknown:
        raise SystemExit(f"pyproject.toml has no extra {', '.join(unknown)}; it has {', '.join(offered)}")
    found = [*project["dependencies"], *(line for name in extras for line in offered[name])]
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
