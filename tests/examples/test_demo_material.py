"""Demo material: the brief is valid, every picture is described and small, and the generator draws them all again."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from interleaf.brief_file import read_brief
from interleaf.schema import canonical_licence
from interleaf.text import count_words
from templates.licence_link import licence_url

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "tides"
MAX_BYTES = 150_000


def picture_sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Path below the folder → (width, height) of every picture in it."""
    sizes = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".png", ".jpg"):
            with Image.open(path) as image:
                image.load()
                sizes[path.relative_to(folder).as_posix()] = image.size
    return sizes


def manifest() -> list[dict[str, str]]:
    with (DEMO / "pictures" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_brief_is_valid_and_points_into_its_own_folder() -> None:
    brief, base = read_brief(DEMO / "brief.yaml")
    assert base == DEMO
    for given in (*brief.sources, *brief.pictures):
        assert given.path is not None
        assert (base / given.path).resolve().is_relative_to(DEMO)
        assert (base / given.path).exists()
    assert (brief.length_words, brief.formats, brief.seed) == (900, ("html", "md"), 7)


def test_the_notes_are_enough_to_choose_from() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted((DEMO / "notes").glob("*.md"))]
    assert len(texts) >= 5
    assert sum(count_words(text) for text in texts) >= 2_500
    together = "\n".join(texts)
    for mark in ("\n- ", "\n1. ", "\n| ", "\n```", "\n## ", "\n!["):
        assert mark in together


def test_every_picture_is_described_credited_and_free() -> None:
    rows = manifest()
    names = {path.removeprefix("pictures/") for path in picture_sizes(DEMO) if path.startswith("pictures/")}
    assert {row["file"] for row in rows} == names
    assert len(rows) == len(names)
    for row in rows:
        assert row["caption"].endswith(".")
        assert len(row["alt"]) > 30
        assert row["alt"] != row["caption"]
        assert row["author"] == "The interleaf authors"
        assert row["licence"] == canonical_licence(row["licence"])
        assert licence_url(row["licence"])
        assert row["keywords"]


def test_pictures_are_small() -> None:
    for path in picture_sizes(DEMO):
        assert (DEMO / path).stat().st_size <= MAX_BYTES, path


@pytest.mark.slow
def test_the_generator_draws_the_same_pictures_again(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_pictures", ROOT / "examples" / "make_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    program.main(tmp_path)
    assert picture_sizes(tmp_path) == picture_sizes(DEMO)
    for path in picture_sizes(tmp_path):
        with Image.open(tmp_path / path) as new, Image.open(DEMO / path) as old:
            # Another matplotlib may set a letter elsewhere by a pixel; the drawing stays the drawing.
            small = [image.convert("L").resize((32, 32)).get_flattened_data() for image in (new, old)]
        assert max(abs(a - b) for a, b in zip(*small, strict=True)) < 24, path


def test_the_picture_of_a_page_in_the_readme_is_small() -> None:
    path = ROOT / "docs" / "images" / "page.png"
    assert path.stat().st_size <= 400_000
    with Image.open(path) as image:
        assert image.width >= 1280
