"""docs/service.md's claims: its commands and options exist, its programs are those of the examples, its addresses are
described."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from api.openapi import methods_of
from interleaf.cli.app import app
from tests.api.conftest import make_service, service
from tests.api.service import Service

__all__ = ["make_service", "service"]

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE, re.S)
LINES = [
    line.removeprefix("$ ")
    for kind, block in BLOCKS
    if kind == "console"
    for line in block.replace("\\\n", " ").splitlines()
]
COMMANDS = [found for line in LINES for found in re.findall(r"interleaf [^)&]*", line)]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_and_option_exists(line: str) -> None:
    words = shlex.split(line)[1:]
    found: Any = typer.main.get_command(app)
    while hasattr(found, "commands"):
        name = words.pop(0)
        assert name in found.commands, line
        found = found.commands[name]
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        assert not word.startswith("-") or word in known, (line, word)
    assert isinstance(found, click.Command) or callable(found)


def test_the_guide_shows_every_command_of_the_service() -> None:
    group: Any = typer.main.get_command(app)
    for name in ("jobs", "keys", "schedules", "batches", "webhooks"):
        for command in group.commands[name].commands:
            if command != "show":
                assert f"interleaf {name} {command}" in GUIDE, (name, command)


def test_programs_are_those_of_the_examples() -> None:
    programs = [block for kind, block in BLOCKS if kind == "python"]
    named = re.findall(r"from `(examples/service/\w+\.py)`", GUIDE)
    assert len(programs) == len(named) == len(list((ROOT / "examples" / "service").glob("*.py")))
    for block, name in zip(programs, named, strict=True):
        assert block in (ROOT / name).read_text(encoding="utf-8"), name


def test_addresses_are_described(service: Service) -> None:
    description = service.client("").get("/v1/openapi.json").json()
    asked = 0
    for line in LINES:
        if line.startswith("curl"):
            path = re.search(r"\$INTERLEAF_SERVER(\S+)", line)
            assert path is not None, line
            sends = " -d " in line or " -F " in line
            assert ("POST" if sends else "GET") in methods_of(description, path[1]), line
            asked += 1
    assert asked == 6
    for method, path in re.findall(r"`(GET|POST|HEAD|DELETE) (/v1/\S+?)`", GUIDE):
        assert method in methods_of(description, path), path
