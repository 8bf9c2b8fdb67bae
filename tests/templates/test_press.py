"""Press: every format of the registry is written whole, under its own name, and an unknown one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from interleaf.errors import OutputUnwritable, PictureMissing, Unsupported
from templates.press import FORMATS, export, export_file, formats, render, themes
from tests.templates import sample
from tests.templates.sample import Shelf, Studio


@pytest.mark.parametrize("name", formats())
def test_export_writes_what_render_gives(studio: Studio, tmp_path: Path, name: str) -> None:
    article = sample.every_block(studio)
    path = export(article, studio.shelf, name, tmp_path / "out" / "deep", "paper")
    assert path.parent == tmp_path / "out" / "deep"
    assert path.read_bytes() == render(article, studio.shelf, name)
    assert export_file(article, studio.shelf, name, tmp_path / "chosen").read_bytes() == path.read_bytes()


def test_names_and_files_are_unique() -> None:
    assert formats() == ("html", "md")
    assert len({f.file_name for f in FORMATS}) == len(FORMATS)
    assert themes() == ("paper",)


def test_an_unknown_format_is_named_with_the_known_ones(studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="html, md"):
        export(sample.every_block(studio), studio.shelf, "docx\x1b", tmp_path, "paper")


@pytest.mark.parametrize("name", formats())
def test_a_failed_export_leaves_nothing(studio: Studio, tmp_path: Path, name: str) -> None:
    article = sample.every_block(studio)
    with pytest.raises(PictureMissing):
        export(article, Shelf({}), name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(OutputUnwritable):
        export(article, studio.shelf, name, tmp_path / "out")
