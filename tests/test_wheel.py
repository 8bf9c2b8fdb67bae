"""The built wheel: one top-level name, everything inside, and it composes from an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return built


def test_the_only_name_it_installs_is_interleaf(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"interleaf"}
    for needed in (
        "interleaf/_app/agents/graph.py",
        "interleaf/_app/agents/placing/ranker.json",
        "interleaf/_app/workers/wiring.py",
        "interleaf/_app/templates/press.py",
        "interleaf/cli/app.py",
    ):
        assert needed in names
    assert any(name.startswith("interleaf/_app/templates/") and name.endswith(".j2") for name in names)
    assert any(name.startswith("interleaf/_app/templates/") and name.endswith(".css") for name in names)
    assert not [name for name in names if "test" in name.lower()]


@pytest.mark.slow
def test_it_composes_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    """Its own environment: the wheel is installed there; the libraries are lent from this one, the checkout is not."""
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)],
        check=True,
        capture_output=True,
    )
    (site,) = home.glob("lib/python*/site-packages")
    # A path inside a .pth file is searched, but its own .pth files are not read: the checkout stays invisible.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    work = tmp_path / "work"
    work.mkdir()
    (work / "notes.md").write_text(
        "# Salt\n\nSalt is made from sea water in shallow pans. The sun dries the water and the salt stays. "
        "Workers rake it into white heaps by hand. A good summer gives three harvests.\n",
        encoding="utf-8",
    )
    command = [str(home / "bin" / "interleaf"), "compose", "--instruction", "How salt is made", "--notes", "notes.md"]
    done = subprocess.run(
        [*command, "--length", "50", "--home", "home", "--out", "out", "--json"],
        cwd=work,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["report"]["sentences_with_span"] == said["report"]["sentences"] > 0
    assert (work / "out" / "article.html").is_file()
    where = subprocess.run(
        [str(python), "-c", "from interleaf import approot; print(approot.enter())"],
        capture_output=True,
        text=True,
        check=True,
        cwd=work,
    )
    assert str(site) in where.stdout


def test_a_foreign_package_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("", encoding="utf-8")
    code = "import agents\nfrom interleaf import approot\napproot.enter()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT / 'sdk'}", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode != 0
    assert "foreign package" in done.stderr
