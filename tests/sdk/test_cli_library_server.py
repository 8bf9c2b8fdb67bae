"""`interleaf library … --server` as a person and a script meet it: the same words, tables and JSON as without."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interleaf.cli.app import main
from tests.api.library_hands import LibraryHands, picture, zipped
from tests.api.service import Service


@pytest.fixture
def hands(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[LibraryHands]:
    made = LibraryHands(service, monkeypatch)
    monkeypatch.setenv("INTERLEAF_API_KEY", service.alice)
    monkeypatch.delenv("INTERLEAF_SERVER", raising=False)
    with service.served() as url:
        monkeypatch.setenv("INTERLEAF_SERVER", url)
        yield made
    made.close()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        (folder / f"p{i}.png").write_bytes(picture(i))
    (folder / "broken[1].png").write_bytes(b"no picture")
    (folder / "manifest.csv").write_text("file,caption\np0.png,fishing boats\np1.png,a stone bridge\n")
    return folder


class Program:
    """Runs the program; gives what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.said = ""
        self.errors = ""

    def run(self, *arguments: str) -> int:
        self._monkeypatch.setattr(sys, "argv", ["interleaf", "library", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        self.said, self.errors = self._capsys.readouterr()
        return int(ended.value.code or 0)

    def told(self, *arguments: str) -> Any:
        assert self.run(*arguments, "--json") == 0, self.errors + self.said
        return json.loads(self.said)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)


def test_pictures_are_added_listed_found_and_removed(
    hands: LibraryHands, program: Program, photos: Path, tmp_path: Path
) -> None:
    added = program.told("add", str(photos), "-c", "harbour", "--licence", "CC0-1.0", "--quiet")
    assert (added["collection"], len(added["added"]), added["counts"]["refused"]) == ("harbour", 3, 1)
    assert added["refused"][0]["name"] == "photos.zip/broken[1].png"
    # What was sent to be taken in does not stay beside the library.
    assert hands.service.client().get("/v1/uploads").json()["data"] == []
    assert program.run("add", str(photos), "-c", "harbour") == 0
    assert "3 already there" in program.said
    assert "harbour has 3 pictures" in program.said
    assert "broken[1].png" in program.said

    listed = program.told("list")
    assert (len(listed["pictures"]), listed["total"], listed["collections"]) == (3, 3, {"harbour": 3})
    assert program.told("list", "--licence", "CC-BY-*") == {**listed, "pictures": [], "total": None}
    first = program.told("list", "--limit", "1")["pictures"]
    rest = program.told("list", "--after", first[0]["id"][:10])["pictures"]
    assert first + rest == listed["pictures"]
    assert program.run("list", "-c", "mountains") == 2
    assert "mountains" in program.errors

    hits = program.told("search", "a", "stone", "bridge", "-k", "2")["hits"]
    assert (len(hits), hits[0]["caption"], hits[0]["collections"]) == (2, "a stone bridge", ["harbour"])
    like = program.told("search", "--like", str(photos / "p0.png"), "-k", "1")["hits"]
    assert like[0]["caption"] == "fishing boats"
    # Like one of the library's own: the others, and not that one.
    others = program.told("search", "--like", hits[0]["id"][:12])["hits"]
    assert others
    assert hits[0]["id"] not in {one["id"] for one in others}
    assert hands.service.client().get("/v1/uploads").json()["data"] == []

    gone = program.told("remove", hits[0]["id"][:12], "--yes")
    assert gone == {"removed": [hits[0]["id"]], "left_collection": None}
    assert program.run("remove", hits[0]["id"], "--yes") == 2
    assert len(program.told("list")["pictures"]) == 2


def test_the_same_shapes_as_on_this_machine(
    hands: LibraryHands, program: Program, photos: Path, tmp_path: Path
) -> None:
    here = ("--server", "", "--library", str(tmp_path / "library"))
    theirs = program.told("add", str(photos), "-c", "harbour", "-q")
    ours = program.told("add", str(photos), "-c", "harbour", "-q", "--no-encode", *here)
    assert set(ours) == set(theirs) - {"counts"}
    assert sorted(ours["added"]) == sorted(theirs["added"])
    theirs, ours = program.told("list"), program.told("list", *here)
    assert set(ours) == set(theirs)
    by_id = {one["id"]: one for one in ours["pictures"]}
    assert {one["id"]: one for one in theirs["pictures"]} == by_id
    hit = program.told("search", "bridge", "-k", "1")["hits"][0]
    assert {name: value for name, value in hit.items() if name != "score"} == by_id[hit["id"]]


def test_a_picture_of_two_collections_leaves_one(hands: LibraryHands, program: Program, photos: Path) -> None:
    one = str(photos / "p0.png")
    for collection in ("a", "b"):
        program.told("add", one, "-c", collection)
    picture_id = program.told("list", "-c", "a")["pictures"][0]["id"]
    assert program.told("remove", picture_id, "-c", "a", "-y") == {"removed": [], "left_collection": "a"}
    assert program.told("list")["collections"] == {"a": 0, "b": 1}


def test_what_cannot_be_done_is_told(hands: LibraryHands, program: Program, tmp_path: Path) -> None:
    words = tmp_path / "words.zip"
    words.write_bytes(zipped({"a.txt": b"words"}))
    assert program.run("add", str(words)) == 2
    assert "1 other files passed over" in program.said
    assert program.run("add", str(tmp_path / "none.png")) == 2
    assert "none.png" in program.errors
    assert program.run("search", "boats", "-k", "500") == 2
    assert "at most 100" in program.errors
    assert program.run("list", "--library", str(tmp_path)) == 2
    assert "--server" in program.errors
    assert program.run("list", "--server", "http://127.0.0.1:9") == 5
