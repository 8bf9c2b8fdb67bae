"""Every pattern of the tree takes a time that grows with its text and not faster, for strings made to hurt it."""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.adversarial import METHODS, is_slow

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("agents", "model", "retrieval", "templates", "workers", "api", "sdk/interleaf", "evals")
# Generous for what is linear (some milliseconds), out of reach for what is not.
LENGTH, BUDGET_S = 20_000, 4.0
# Patterns that see short texts only: how many characters at most, and what sees to it.
SHORT: dict[str, tuple[int, str]] = {
    "agents.notes.boilerplate._LINK_ONLY": (2_000, "MAX_MENU_CHARS"),
    "agents.notes.boilerplate._PIECE_OF_MENU": (2_000, "MAX_MENU_CHARS"),
    "agents.notes.markdown._HEADING_ATTRIBUTES": (220, "the end of a heading is looked at"),
    "agents.placing.cue._ABOVE": (4_000, "MAX_READ_CHARS"),
    "agents.placing.cue._BELOW": (4_000, "MAX_READ_CHARS"),
    "agents.placing.cue._COLON_END": (40, "the end of a text is looked at"),
    "agents.placing.cue._MENTION": (4_000, "MAX_READ_CHARS"),
    "agents.words.coreference._DELAYED.de": (200, "MAX_HEAD_CHARS"),
    "agents.words.coreference._DELAYED.en": (200, "MAX_HEAD_CHARS"),
    "agents.words.phrase._LAST_WORD": (24, "what stands before a phrase is looked at"),
    "agents.words.relevance._TRAILER": (600, "MAX_SUBJECT_CHARS"),
    "retrieval.pictures.file_name._HEX": (300, "MAX_NAME_CHARS"),
    "retrieval.pictures.file_name._LAST_NUMBER": (300, "MAX_NAME_CHARS"),
    "retrieval.pictures.file_name._MACHINE": (300, "MAX_NAME_CHARS"),
    "retrieval.pictures.metadata._DATE": (64, "MAX_DATE_CHARS"),
}


@dataclass(frozen=True)
class Found:
    """A pattern, where it stands, and by which methods it is used."""

    name: str
    pattern: re.Pattern[str]
    methods: tuple[str, ...]


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" in path.parts or path.stem == "__main__":
                continue
            top = ROOT / "sdk" if folder.startswith("sdk") else ROOT
            name = ".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__")
            yield name, ast.parse(path.read_text(encoding="utf-8"))


@cache
def every_pattern() -> tuple[Found, ...]:
    """All patterns with a name, and all that are written where they are used."""
    trees = dict(_modules())
    used: dict[str, set[str]] = defaultdict(set)
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS and isinstance(node.value, ast.Name):
                used[node.value.id].add(node.attr)
    found: dict[tuple[str, int], Found] = {}
    for name, tree in trees.items():
        if not _speaks_of_patterns(tree):
            continue
        module = importlib.import_module(name)
        for attribute, value in vars(module).items():
            for within, pattern in _patterns_in(value):
                methods = tuple(sorted(used.get(attribute, METHODS)))
                found.setdefault(
                    (pattern.pattern, pattern.flags), Found(f"{name}.{attribute}{within}", pattern, methods)
                )
        for where, method, pattern in _written_in_place(tree):
            found.setdefault((pattern.pattern, pattern.flags), Found(f"{name}:{where}", pattern, (method,)))
    return tuple(found.values())


def _speaks_of_patterns(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.Import) and any(a.name == "re" for a in node.names) for node in ast.walk(tree))


def _patterns_in(value: object) -> Iterator[tuple[str, re.Pattern[str]]]:
    """(where in it, pattern) of a constant: it, or what it holds."""
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        yield "", value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from ((f".{key}{within}", pattern) for within, pattern in _patterns_in(one))
    elif isinstance(value, list | tuple):
        for k, one in enumerate(value):
            yield from ((f".{k}{within}", pattern) for within, pattern in _patterns_in(one))


def _written_in_place(tree: ast.Module) -> Iterator[tuple[str, str, re.Pattern[str]]]:
    """(line, method, pattern) of `re.sub(r"…", …)` and of the schema's `pattern=r"…"`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg == "pattern" and isinstance(keyword.value, ast.Constant):
                yield str(node.lineno), "search", re.compile(str(keyword.value.value))
        called = node.func
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "re":
            first = node.args[0] if node.args else None
            if called.attr in METHODS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield str(node.lineno), called.attr, re.compile(first.value)


def test_the_tree_has_patterns_and_they_are_found() -> None:
    names = {found.name for found in every_pattern()}
    assert len(names) > 150
    assert {"interleaf.text._WORD", "templates.inline._SAFE_URL", "retrieval.pictures.embedded._CAMERA_SAYS"} <= names
    assert set(SHORT) <= names, "a pattern that SHORT speaks of is gone"


@pytest.mark.parametrize(
    "slow", [r"(a+)+$", r"\s+$", r"(?:dsc\w*|[\d_])*", r"(?:[ab]|a)*c", r"x*y", r".*=.*;", r"^(\w+\s?)*$"]
)
def test_slow_patterns_are_told_from_others(slow: str) -> None:
    assert is_slow(re.compile(slow), ("search", "fullmatch"), 60_000, 1.0)


@pytest.mark.parametrize("found", every_pattern(), ids=lambda found: found.name)
def test_every_pattern_is_linear(found: Found) -> None:
    length, _ = SHORT.get(found.name, (LENGTH, ""))
    assert not (at := is_slow(found.pattern, found.methods, length, BUDGET_S)), f"slow at {at}"
