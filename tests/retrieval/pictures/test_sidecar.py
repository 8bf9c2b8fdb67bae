"""Sidecars in three forms, written as people write them; a broken one is told by its line and stops nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.pictures.sidecar import MAX_YAML_BYTES, is_sidecar_of, read_manifest, read_picture_sidecar

CSV = "File,Caption,License,Tags\nbridge.jpg,an old bridge,CC0,river; stone\nsub/mill.png,a mill,,\n"
YAML = """
- {file: bridge.jpg, caption: an old bridge, license: CC0, tags: [river, stone]}
- file: sub/mill.png
  caption: a mill
"""
ROWS = [
    {"filename": "bridge.jpg", "description": "an old bridge", "licence": "CC0", "keywords": ["river", "stone"]},
    {"path": "./sub\\mill.png", "caption": "a mill"},
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("manifest.csv", CSV),
        ("manifest.csv", "\ufeff" + CSV.replace(",", ";").replace("river; stone", "river|stone")),
        ("manifest.csv", CSV.replace(",", "\t")),
        ("manifest.json", json.dumps(ROWS)),
        ("manifest.json", json.dumps({"pictures": ROWS})),
        ("manifest.json", json.dumps({"bridge.jpg": ROWS[0], "sub/mill.png": "a mill"})),
        ("manifest.yaml", YAML),
        ("manifest.yml", "images:\n" + YAML),
    ],
)
def test_every_form_says_the_same(name: str, text: str) -> None:
    manifest = read_manifest(text.encode(), name)
    assert manifest.problems == ()
    bridge = manifest.about("bridge.jpg")
    assert bridge is not None
    assert (bridge.caption, bridge.licence, bridge.keywords) == ("an old bridge", "CC0", ("river", "stone"))
    assert bridge.caption_origin == "sidecar"
    mill = manifest.about("sub/mill.png")
    assert mill is not None and mill.caption == "a mill"
    assert manifest.about("other.jpg") is None


def test_a_bare_name_matches_below_where_it_is_unique() -> None:
    manifest = read_manifest(b"file,caption\nmill.png,a mill\n", "manifest.csv")
    found = manifest.about("deep/down/MILL.png")
    assert found is not None and found.caption == "a mill"
    twice = read_manifest(b"file,caption\na/mill.png,one\nb/mill.png,two\n", "manifest.csv")
    assert twice.about("c/mill.png") is None
    second = twice.about("b/mill.png")
    assert second is not None and second.caption == "two"


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("manifest.csv", b'file,caption\na.jpg,ok\nb.jpg,"never closed\n', "line 3"),
        ("manifest.csv", b"file,caption\na.jpg,ok,too,many\n", "line 2"),
        ("manifest.csv", b"title,words\nx,y\n", "line 1"),
        ("manifest.json", b'[{"file": "a.jpg"},\n {"file": }]', "line 2"),
        ("manifest.json", b"[" * 100_000, "line 1"),
        ("manifest.json", b'[{"file": "a.jpg", "n": ' + b"9" * 10_000 + b"}]", "line 1"),
        ("manifest.yaml", b"- file: a.jpg\n  caption: [unclosed\n- x", "line"),
        ("manifest.yaml", b"a: !!python/object/apply:os.system ['true']", "line 1"),
        ("manifest.yaml", b"x" * (MAX_YAML_BYTES + 1), "at most"),
        ("manifest.json", b"[]" + b"\xff", "line 1"),
        ("manifest.json", b'"words"', "line 1"),
    ],
)
def test_a_broken_manifest_is_told_by_its_line(name: str, data: bytes, line: str) -> None:
    manifest = read_manifest(data, name)
    assert any(line in problem for problem in manifest.problems), manifest.problems


def test_rows_before_the_broken_line_count() -> None:
    manifest = read_manifest(b'file,caption\na.jpg,ok\nb.jpg,"never closed\n', "manifest.csv")
    found = manifest.about("a.jpg")
    assert found is not None and found.caption == "ok"


def test_many_problems_are_summed_up() -> None:
    manifest = read_manifest(b"file,caption\n" + b",x\n" * 500, "manifest.csv")
    assert len(manifest.problems) == 21 and "480 more" in manifest.problems[-1]


def test_windows_spreadsheets_and_utf_16() -> None:
    latin = read_manifest("file,caption\na.jpg,Brücke\n".encode("cp1252"), "manifest.csv").about("a.jpg")
    wide = read_manifest("file,caption\na.jpg,Brücke\n".encode("utf-16"), "manifest.csv").about("a.jpg")
    assert latin is not None and wide is not None and latin.caption == wide.caption == "Brücke"


def test_a_caption_of_a_megabyte_is_read() -> None:
    manifest = read_manifest(b"file,caption\na.jpg," + b"x" * 1_000_000 + b"\n", "manifest.csv")
    found = manifest.about("a.jpg")
    assert found is not None and manifest.problems == () and len(found.cleaned().caption) == 4_000


def test_yaml_aliases_that_unfold_to_billions_stay_small() -> None:
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((c + 1,) * 2 + (c,) * 8) for c in range(ord("a"), ord("k"))
    )
    manifest = read_manifest(bomb + b"p.jpg: {caption: fine, tags: *k}\n", "manifest.yaml")
    found = manifest.about("p.jpg")
    assert found is not None and found.caption == "fine"


def test_paths_in_a_manifest_open_nothing() -> None:
    manifest = read_manifest(b"file,caption\n../../etc/passwd.jpg,x\n", "manifest.csv")
    assert manifest.about("etc/passwd.jpg") is not None, "it is a key, its dots mean nothing"


def test_one_pictures_own_sidecar() -> None:
    assert is_sidecar_of("photo.jpg")[:2] == ("photo.jpg.json", "photo.jpg.yaml")
    said, problem = read_picture_sidecar(
        b'{"title": "photo.jpg", "description": "a cat"}', "photo.jpg.json", "photo.jpg"
    )
    assert said is not None and said.caption == "a cat" and not problem
    assert read_picture_sidecar(b'{"version": 3}', "photo.json", "photo.jpg") == (None, "")
    said, problem = read_picture_sidecar(b'{"title":', "photo.json", "photo.jpg")
    assert said is None and "line 1" in problem


@settings(max_examples=150)
@given(st.binary(max_size=200), st.sampled_from(["manifest.csv", "manifest.json", "manifest.yaml"]))
def test_no_bytes_make_it_raise(data: bytes, name: str) -> None:
    read_manifest(data, name)
    read_manifest(b"file,caption\n" + data, name)
    read_picture_sidecar(data, "a.jpg.yaml", "a.jpg")
