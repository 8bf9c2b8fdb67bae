"""Check README: its tree is the repository's, its changelog has this version. `--write` brings the tree up to date."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
START, END = "<!-- tree -->\n", "<!-- end of tree -->"
# Folders without a Python package say here what they are; the others say it in their __init__.py.
CLAUSES = {
    "sdk/interleaf": "the ground: the words everyone shares (schema, errors), the composer, the command line",
    "tests": "mirrors the folders; fakes with the real contracts, and one suite per contract",
    "benchmarks": "programs that print ratios against named baselines",
    "examples": "notes and pictures of our own, for the demo",
    "docs": "quality and speed in numbers, decisions with their reasons, the log of what did not help",
    "scripts": "the lock file and the checks of this page",
}
INDENT, LABEL, WIDTH = 16, 13, 120
ORDER = (
    *("sdk/interleaf", "agents", "model", "retrieval", "templates", "workers", "api", "evals"),
    *("benchmarks", "tests", "examples", "docs", "scripts"),
)


def clause_of(folder: str) -> str:
    """The folder's sentence: from its `__init__.py`, or from the table above."""
    if folder in CLAUSES:
        return CLAUSES[folder]
    said = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    line = said.splitlines()[0]
    return (line[0].lower() + line[1:]).rstrip(".")


def nouns_of(folder: str, label: str) -> list[str]:
    """Rows with the nouns of a folder; a room's begin with its name."""
    lines, row = [], f"{'':<{INDENT}}{label:<{LABEL if label else 0}}"
    for noun in sorted(p.stem for p in (ROOT / folder).glob("*.py") if p.stem != "__init__"):
        if len(row) + len(noun) > WIDTH:
            lines.append(row.rstrip())
            row = " " * (INDENT + (LABEL if label else 0))
        row += noun + "  "
    return [*lines, row.rstrip()]


def tree() -> str:
    """The tree with a clause per folder and the nouns that it holds."""
    lines = ["```"]
    for folder in ORDER:
        if not (ROOT / folder).is_dir():
            raise SystemExit(f"README's tree names {folder}, which does not exist; mend scripts/check_readme.py")
        lines.append(f"{folder + '/':<{INDENT}}{clause_of(folder)}")
        if (ROOT / folder / "__init__.py").is_file():
            lines += nouns_of(folder, "")
            rooms = sorted(p.parent.name for p in (ROOT / folder).glob("*/__init__.py"))
            for room in rooms:
                lines += nouns_of(f"{folder}/{room}", f"{room}/")
    return "\n".join([*lines, "```"]) + "\n"


def main() -> None:
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(START)
    now = before + START + tree() + END + rest.split(END)[1]
    if "--write" in sys.argv:
        README.write_text(now, encoding="utf-8")
    elif now != text:
        raise SystemExit("README's tree is stale; run: python scripts/check_readme.py --write")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if f'__version__ = "{version}"' not in (ROOT / "sdk/interleaf/__init__.py").read_text(encoding="utf-8"):
        raise SystemExit(f"interleaf.__version__ is not pyproject's {version}")
    newest = re.search(r"^## (?!Unreleased)(\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    if newest is None or newest.group(1) != version:
        raise SystemExit(f"CHANGELOG's newest released entry is not {version}")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", now):
        if not (ROOT / link).exists():
            raise SystemExit(f"README points to {link}, which does not exist")


if __name__ == "__main__":
    main()
