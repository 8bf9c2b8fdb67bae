"""docs/security.md names a test for every point, and every test that it names exists."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_security", ROOT / "scripts" / "check_security.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHECK = _program()
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_point_is_proved_by_tests_that_exist() -> None:
    assert CHECK.faults(PAGE) == []


def test_every_part_of_the_checklist_is_there() -> None:
    parts = [line for line in PAGE.splitlines() if line.startswith("## ") and line[3].isdigit()]
    assert [part.split(".")[0] for part in parts] == [f"## {number}" for number in range(1, 8)]
    assert len(CHECK.rows(PAGE)) >= 45


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("| a | b | open |", "open"),
        ("| a | b | `tests/test_readme.py`; the rest: open |", "open"),
        ("| a | b | `tests/test_nowhere.py` |", "does not exist"),
        ("| a | b | `tests/test_readme.py` `…no_such_thing…` |", "has no test"),
        ("| a | b | `tests/test_readme.py` `…program_is_short` |", "has no test"),
        ("| a | b | `…program_is_short…` |", "before any file"),
        ("| a | b | a promise |", "no test is named"),
        ("| a | | `tests/test_readme.py` |", "empty"),
        ("| a | `tests/test_readme.py` |", "columns"),
    ],
)
def test_a_row_that_proves_nothing_is_found(row: str, says: str) -> None:
    [fault, *_] = CHECK.faults(f"| Point | What is done | Proof |\n|---|---|---|\n{row}\n")
    assert says in fault
    assert fault.startswith("line 3")


def test_a_row_that_proves_something_is_sound() -> None:
    row = "| a | b | `tests/test_readme.py` `…program_is_short…`; `tests/conftest.py` opens nothing |"
    assert CHECK.faults(row) == []
