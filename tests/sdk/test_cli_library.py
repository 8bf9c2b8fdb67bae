"""`interleaf library` as a person and a program use it: what it says, what it does, how it ends."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from interleaf.cli.library import app
from interleaf.errors import InterleafError, InvalidBrief, PictureMissing, RetrievalError, Unsupported
from tests.fakes import HashingEmbedder
from tests.retrieval.drawing import scene, write_scene


@pytest.fixture(autouse=True)
def _hashing_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line is tested here, not the encoder: its weights take seconds to load."""
    monkeypatch.setattr("workers.run.shelf.make_embedder", lambda settings: HashingEmbedder())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for i, name in enumerate(("old harbour", "stone bridge", "wind mill")):
        write_scene(tmp_path / "photos" / f"{name}.jpg", i)
    (tmp_path / "photos" / "manifest.csv").write_text("file,caption,licence\nwind mill.jpg,a mill on a hill,CC0\n")
    return tmp_path / "photos"


class Cli:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, [*words, "--library", str(self.folder)], input=stdin)

    def json(self, *words: str) -> Any:
        result = self(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refused(self, kind: type[InterleafError], *words: str) -> str:
        result = self(*words)
        assert isinstance(result.exception, kind), result.output
        return result.exception.message


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "library")


def test_adding_tells_what_became_of_everything(cli: Cli, photos: Path) -> None:
    (photos / "cut.jpg").write_bytes((photos / "old harbour.jpg").read_bytes()[:300])
    (photos / "[red]notes.txt").write_text("x")
    result = cli("add", str(photos))
    assert result.exit_code == 0
    assert "3 added" in result.stdout and "1 refused" in result.stdout and "2 other files passed over" in result.stdout
    assert re.search(r"refused .*cut\.jpg: the JPEG file is cut off", result.stdout)
    again = cli.json("add", str(photos))
    assert len(again["already_there"]) == 3 and again["refused"][0]["name"].endswith("cut.jpg")


def test_nothing_that_could_be_added_is_exit_code_2(cli: Cli, tmp_path: Path) -> None:
    assert cli("add", str(tmp_path / "nothing")).exit_code == 2
    (tmp_path / "empty").mkdir()
    empty = cli("add", str(tmp_path / "empty"))
    assert empty.exit_code == 2 and "nothing to add was found" in empty.stdout


def test_what_is_said_of_all(cli: Cli, photos: Path) -> None:
    cli("add", str(photos), "--author", "Jo Lind", "--licence", "cc by 4.0", "--collection", "coast")
    found = cli.json("list", "--collection", "coast")
    assert {(p["author"], p["licence"]) for p in found["pictures"]} == {("Jo Lind", "CC-BY-4.0")}
    assert found["collections"] == {"coast": 3} and found["total"] == 3
    assert cli.json("list", "--collection", "hills")["pictures"] == []


def test_listing_filters_and_pages(cli: Cli, photos: Path) -> None:
    cli("add", str(photos))
    assert [p["caption"] for p in cli.json("list", "--licence", "open")["pictures"]] == ["a mill on a hill"]
    assert cli.json("list", "--min-width", "5000")["total"] == 0
    first = cli.json("list", "--limit", "2")["pictures"]
    rest = cli.json("list", "--after", first[-1]["id"][:10])["pictures"]
    assert len(first) == 2 and len(rest) == 1 and rest[0]["id"] not in {p["id"] for p in first}
    table = cli("list").stdout
    assert "stone bridge" in table and "3 of 3 pictures" in table


def test_showing_one_picture(cli: Cli, photos: Path) -> None:
    cli("add", str(photos))
    wanted = next(p for p in cli.json("list")["pictures"] if p["caption"] == "a mill on a hill")
    shown = cli.json("show", wanted["id"][:9])
    assert shown["licence"] == "CC0-1.0" and Path(shown["file"]).is_file() and shown["collections"] == ["default"]
    assert "a mill on a hill" in cli("show", wanted["id"]).stdout
    assert "no picture's id begins" in cli.refused(PictureMissing, "show", "zzz")


def test_searching(cli: Cli, photos: Path) -> None:
    cli("add", str(photos))
    hits = cli.json("search", "stone", "bridge", "-k", "1")["hits"]
    assert [hit["caption"] for hit in hits] == ["stone bridge"] and 0 <= hits[0]["score"] <= 1
    assert "wind mill" not in cli("search", "mill", "--min-width", "9000").stdout
    assert "words or --like" in cli.refused(InvalidBrief, "search")
    some_id = hits[0]["id"]
    assert "INTERLEAF_PIXEL_ENCODER" in cli.refused(Unsupported, "search", "--like", some_id)


def test_removing_asks_and_takes_beginnings(cli: Cli, photos: Path) -> None:
    cli("add", str(photos))
    ids = [p["id"] for p in cli.json("list")["pictures"]]
    assert cli("remove", ids[0][:12], stdin="n\n").exit_code == 1
    assert cli.json("list")["total"] == 3
    assert cli("remove", ids[0][:12], stdin="y\n").exit_code == 0
    assert cli.json("remove", ids[1][:12], "--yes")["removed"] == [ids[1]]
    assert [p["id"] for p in cli.json("list")["pictures"]] == ids[2:]
    assert "no picture's id" in cli.refused(PictureMissing, "remove", ids[0], "--yes")


def test_a_beginning_of_several_ids_is_refused(cli: Cli, tmp_path: Path) -> None:
    for i in range(20):
        write_scene(tmp_path / "many" / f"{i}.png", i)
    cli("add", str(tmp_path / "many"))
    ids = sorted(p["id"] for p in cli.json("list")["pictures"])
    first = next(a[0] for a, b in pairwise(ids) if a[0] == b[0])
    assert "several ids" in cli.refused(PictureMissing, "show", first)


def test_verifying_and_repairing(cli: Cli, photos: Path) -> None:
    cli("add", str(photos))
    assert "nothing is wrong" in cli("verify").stdout
    lost = cli.json("list")["pictures"][0]
    Path(cli.json("show", lost["id"])["file"]).unlink()
    broken = cli("verify")
    assert broken.exit_code == 1 and lost["id"] in broken.stdout
    assert cli("verify", "--repair").exit_code == 0
    assert cli.json("verify")["problems"] == [] and cli.json("list")["total"] == 2


def test_there_is_no_library_yet(cli: Cli) -> None:
    assert "interleaf library add" in cli.refused(RetrievalError, "list")
    assert not cli.folder.exists(), "looking makes nothing"


def test_hostile_names_are_shown_as_they_are(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "photos" / "[bold]some words {{ 7 }} <script>.jpg"
    path.parent.mkdir()
    write_scene(path, 1)
    (tmp_path / "photos" / "[link=http:x]broken.jpg").write_text("x")
    shown = cli("add", str(tmp_path / "photos")).stdout
    assert "[link=http:x]broken.jpg" in shown
    assert "[bold]some words {{ 7 }} <script>" in cli("show", cli.json("list")["pictures"][0]["id"]).stdout


@pytest.mark.parametrize("command", ["add", "list", "show", "search", "remove", "verify"])
def test_help_teaches(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0 and "--library" in result.stdout and "--json" in result.stdout
    assert "xample" in result.stdout or "Exit codes" in result.stdout


def test_drawing_is_deterministic() -> None:
    assert scene(3).tobytes() == scene(3).tobytes()
