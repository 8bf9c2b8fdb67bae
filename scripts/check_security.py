"""Check docs/security.md: every point has what is done and a proof, every proof is a test that exists, none is open."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "security.md"
# A file in back-ticks, or a part of a test's name between dots: `tests/x/test_y.py`, `…what_it_says…`.
_PROOF = re.compile(r"`([^`]+)`")
_COLUMNS = 3


def faults(text: str) -> list[str]:
    """What is wrong with the page, a line for each."""
    found = []
    for number, row in rows(text):
        cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
        if len(cells) != _COLUMNS or not all(cells):
            found.append(f"line {number}: a row has {_COLUMNS} columns, none of them empty")
            continue
        found += [f"line {number} ({cells[0][:60]}): {problem}" for problem in problems_of(cells[2])]
    return found


def rows(text: str) -> list[tuple[int, str]]:
    """(line number, text) of every row of a table, without its head."""
    lines = text.splitlines()
    return [
        (number, line)
        for number, line in enumerate(lines, 1)
        if line.startswith("|") and not line.startswith(("|---", "| Point |"))
    ]


def problems_of(proof: str) -> list[str]:
    """What is wrong with one cell of proofs."""
    found = []
    if re.search(r"\bopen\b", _PROOF.sub("", proof)):
        found.append("it is open")
    path: Path | None = None
    names: set[str] = set()
    for said in _PROOF.findall(proof):
        if said.startswith("tests/"):
            path = ROOT / said
            if not path.is_file():
                found.append(f"{said} does not exist")
            names = tests_in(path) if path.is_file() else set()
        elif path is None:
            found.append(f"{said} stands before any file")
        elif path.is_file() and not any(fits(said, name) for name in names):
            found.append(f"{path.relative_to(ROOT)} has no test {said}")
    if path is None:
        found.append("no test is named")
    return found


def tests_in(path: Path) -> set[str]:
    """The names of a file's tests; a file that holds what tests use has none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def fits(said: str, name: str) -> bool:
    """Whether `…part…` stands for a test's name: dots for what is left out, at the beginning and at the end."""
    pattern = re.escape(said.strip("…"))
    before = ".*" if said.startswith("…") else "test_"
    after = ".*" if said.endswith("…") else ""
    return re.fullmatch(f"{before}{pattern}{after}", name) is not None


def main() -> None:
    if found := faults(PAGE.read_text(encoding="utf-8")):
        raise SystemExit("docs/security.md:\n" + "\n".join(found))


if __name__ == "__main__":
    main()
