"""README's claims: its program runs, its commands exist, its tree is the tree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _program() -> str:
    found = re.search(r"<!-- program -->\n```python\n(.*?)```", README, re.S)
    assert found is not None
    return found.group(1)


def test_the_program_is_short_and_runs(tmp_path: Path) -> None:
    program = _program()
    assert len(program.strip().splitlines()) <= 15
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert " | " in done.stdout
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<figure" in page


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|\$ )make ([a-z]+)", README))))
def test_every_make_command_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)


def test_every_option_of_the_examples_exists() -> None:
    for line in README.replace("\\\n", " ").splitlines():
        named = re.search(r"interleaf (compose|library|serve|health)\b", line)
        if named is not None:
            command = {"health": "serve"}.get(named[1], named[1])
            source = (ROOT / "sdk" / "interleaf" / "cli" / f"{command}.py").read_text(encoding="utf-8")
            for option in re.findall(r"--[a-z-]+", line):
                assert f'"{option}"' in source or option.removeprefix("--").replace("-", "_") + ":" in source, option


def test_tree_version_and_links_are_current() -> None:
    subprocess.run([sys.executable, str(ROOT / "scripts" / "check_readme.py")], check=True)
