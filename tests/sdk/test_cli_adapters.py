"""`interleaf adapters` as a person and a program use it; adapters are records of real form, weights are not read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from typer.testing import CliRunner, Result

from interleaf.cli.app import app
from interleaf.errors import InterleafError, ModelBusy, ModelMissing, OutputUnwritable
from model.weights.adapter_record import AdapterRecord


def adapter(home: Path, name: str, **changes: Any) -> Path:
    """The folder of a finished adapter."""
    folder = home / "adapters" / name
    folder.mkdir(parents=True)
    zeros = "0" * 64
    values: dict[str, Any] = {
        "base": "xc25",
        "base_fingerprint": zeros,
        "set_fingerprint": zeros,
        "rank": 64,
        "alpha": 64,
        "steps": 1_200,
        "settings": {},
        "weights_sha256": zeros,
    }
    (folder / "teaching.json").write_text(AdapterRecord(**values | changes).model_dump_json())
    (folder / "adapter_model.safetensors").write_bytes(bytes(2_000_000))
    return folder


def run(home: Path, *words: str, stdin: str | None = None) -> Result:
    arguments = ["adapters", *words, "--home", str(home)]
    return CliRunner().invoke(app, arguments, input=stdin, env={"COLUMNS": "200"})


def refused(kind: type[InterleafError], home: Path, *words: str) -> str:
    result = run(home, *words)
    assert isinstance(result.exception, kind), result.output
    return result.exception.message


def test_the_list_says_whose_they_are_and_how_a_brief_names_them(tmp_path: Path) -> None:
    assert "interleaf tune" in run(tmp_path, "list").stdout
    adapter(tmp_path, "house-style")
    adapter(tmp_path, "pages", base="xc25-write", task="web", rank=8)
    (tmp_path / "adapters" / "begun" / "state").mkdir(parents=True)
    (adapter(tmp_path, "torn") / "teaching.json").write_text("{")
    (tmp_path / "adapters" / ".style.gone").mkdir()
    (tmp_path / "adapters" / "note.txt").write_text("x")
    said = run(tmp_path, "list").stdout
    for words in (
        "house-style",
        "xc25+house-style",
        "1,200",
        "2.0 MB",
        "xc25-write+pages",
        "web",
        "--resume",
        "no JSON",
    ):
        assert words in said, words
    found = {one["name"]: one for one in json.loads(run(tmp_path, "list", "--json").stdout)["adapters"]}
    assert list(found) == ["begun", "house-style", "pages", "torn"]
    assert found["pages"]["writer"] == "xc25-write+pages" and found["pages"]["bytes"] > 2_000_000
    assert "problem" in found["begun"] and "writer" not in found["torn"]


def test_removing_asks_first_and_takes_unfinished_ones_too(tmp_path: Path) -> None:
    adapter(tmp_path, "one")
    (tmp_path / "adapters" / "begun").mkdir()
    assert run(tmp_path, "remove", "one", stdin="n\n").exit_code == 1
    assert (tmp_path / "adapters" / "one").is_dir()
    said = run(tmp_path, "remove", "one", "begun", "one", stdin="y\n")
    assert said.exit_code == 0 and "one, begun removed · 2.0 MB freed" in said.stdout
    assert list((tmp_path / "adapters").iterdir()) == []
    adapter(tmp_path, "two")
    freed = json.loads(run(tmp_path, "remove", "two", "--yes", "--json").stdout)
    assert freed["removed"] == ["two"] and freed["freed_bytes"] > 2_000_000


@pytest.mark.parametrize("name", ["none", "../adapters/one", "..", ".", "/", "one/", "ONE", "", "a\0b"])
def test_nothing_but_a_name_of_the_list_is_removed(name: str, tmp_path: Path) -> None:
    adapter(tmp_path, "one")
    assert "there are: one" in refused(ModelMissing, tmp_path, "remove", "one", name, "--yes")
    assert (tmp_path / "adapters" / "one" / "teaching.json").is_file(), "all are looked at before one is removed"


def test_one_that_is_being_taught_stays(tmp_path: Path) -> None:
    folder = adapter(tmp_path, "one")
    with FileLock(folder / ".tune.lock"):
        assert "being taught" in refused(ModelBusy, tmp_path, "remove", "one", "--yes")
    assert (folder / "teaching.json").is_file()
    assert run(tmp_path, "remove", "one", "--yes").exit_code == 0


def test_a_half_removed_one_is_not_found_and_its_name_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter(tmp_path, "one")

    def fail(path: Path, **options: object) -> None:
        if not options:
            raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", fail)
        assert "cannot be removed" in refused(OutputUnwritable, tmp_path, "remove", "one", "--yes")
    assert "no adapters yet" in run(tmp_path, "list").stdout
    adapter(tmp_path, "one")
    assert run(tmp_path, "remove", "one", "--yes").exit_code == 0
    assert list((tmp_path / "adapters").iterdir()) == []


@pytest.mark.parametrize("command", ["list", "remove"])
def test_help_teaches(command: str) -> None:
    said = CliRunner().invoke(app, ["adapters", command, "--help"]).stdout
    assert "interleaf adapters" in said
