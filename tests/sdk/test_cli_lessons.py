"""`interleaf lessons` as a person and a program use it, and from articles to a writer by commands alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from interleaf.cli.app import app
from interleaf.errors import InterleafError, InvalidBrief, OutputUnwritable, SourceUnreadable
from tests.model.teaching_material import tiny_folder

ROOT = Path(__file__).resolve().parents[2]
ARTICLES = {
    "lock.md": "# A lock\n\n## At dawn\n\nThe keeper oils the gates.\n\n![The lower gate.](pictures/gate.png)\n",
    "more/bridge.md": "# A bridge\n\n## Its arches\n\nThere are five.\n\n![An arch [third].](../pictures/arch.png)\n",
}


@pytest.fixture(scope="module")
def articles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("articles")
    for name, text in ARTICLES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    (root / "pictures").mkdir()
    for name, colour in (("gate", "red"), ("arch", "blue")):
        Image.new("RGB", (60, 40), colour).save(root / "pictures" / f"{name}.png")
    return root


def run(*words: Any) -> Result:
    return CliRunner().invoke(app, ["lessons", *map(str, words)])


def refused(kind: type[InterleafError], *words: Any) -> str:
    result = run(*words)
    assert isinstance(result.exception, kind), result.output
    return result.exception.message


def test_it_says_what_was_made_and_what_comes_next(articles: Path, tmp_path: Path) -> None:
    out = tmp_path / "set [1]"
    said = run(articles, "--out", out)
    assert said.exit_code == 0, said.output
    first, where = said.stdout.splitlines()
    assert first.endswith("lessons from 2 articles with 2 pictures") and where == str(out / "set.json")
    assert f"next: interleaf tune MODEL '{out}/set.json' --name NAME" in said.stderr
    assert sorted(p.name for p in out.iterdir()) == ["lessons.json", "pictures", "set.json"]
    found = json.loads(run(articles, "--out", tmp_path / "again", "--json").stdout)
    assert found["lessons"] == int(first.split()[0]) == len(json.loads((out / "set.json").read_text()))
    assert (found["articles"], found["pictures"], found["next"][:2]) == (2, 2, ["interleaf", "tune"])
    assert (out / "set.json").read_bytes() == (tmp_path / "again" / "set.json").read_bytes()


def test_options_reach_the_set(articles: Path, tmp_path: Path) -> None:
    def texts(*words: Any) -> list[str]:
        assert run(articles, "--out", tmp_path / "set", *words).exit_code == 0
        found = json.loads((tmp_path / "set" / "set.json").read_text())
        return [f"{lesson['image']} {lesson['conversations'][0]['value']}" for lesson in found]

    plain = texts()
    told = texts("--instruction", "A report, please: {title}")
    assert any("A report, please: A lock" in text for text in told) and told != plain
    assert len(texts("--orders", "1")) == len(plain) - 2 * 5
    assert len(texts("--repeats", "2")) > len(plain)
    assert texts("--seed", "3") != plain


def test_errors_name_the_article_and_nothing_is_written(articles: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "set")
    assert "no folder here" in refused(SourceUnreadable, tmp_path / "none", *out)
    assert "is a file" in refused(SourceUnreadable, articles / "lock.md", *out)
    (tmp_path / "empty").mkdir()
    assert "no article" in refused(SourceUnreadable, tmp_path / "empty", *out)
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "x.md").write_text("No title.\n")
    assert "x.md: has no title" in refused(SourceUnreadable, bad, *out)
    (bad / "x.md").write_text("# T\n\n## S\n\nWords.\n\n![p](gone.png)\n")
    assert "x.md: shows 'gone.png'" in refused(SourceUnreadable, bad, *out)
    assert "is empty" in refused(InvalidBrief, articles, *out, "--instruction", " ")
    assert not (tmp_path / "set").exists()
    assert "among the articles" in refused(OutputUnwritable, articles, "--out", articles / "set")
    (tmp_path / "file").write_text("")
    refused(OutputUnwritable, articles, "--out", tmp_path / "file")
    for words in (("--orders", "0"), ("--seed", "-1"), ("--repeats", "0")):
        assert run(articles, *out, *words).exit_code == 2


def test_articles_without_pictures_are_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.md").write_text("# T\n\n## S\n\nWords.\n")
    said = run(tmp_path / "in", "--out", tmp_path / "set")
    assert "1 article with 0 pictures" in said.stdout and "nothing is taught about choosing" in said.stderr


def test_interrupted_it_says_so(articles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any, **named: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("workers.teaching.lessons.write_lessons", interrupted)
    said = run(articles, "--out", tmp_path / "set")
    assert said.exit_code == 130 and "begins anew" in said.stderr


def test_help_teaches() -> None:
    text = CliRunner().invoke(app, ["lessons", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).stdout
    for words in ("# A morning", "## Before sunrise", "![The lower gate", "interleaf tune", "Exit codes", "{title}"):
        assert words in text


def test_from_articles_to_a_writer_of_ones_own(articles: Path, tmp_path: Path) -> None:
    """The installed program: lessons, tune by name, the list, a brief by that writer, and the adapter removed again."""
    home = tmp_path / "home"
    tiny_folder(home, max_position=8_192)
    environment = {**os.environ, "INTERLEAF_HOME": str(home), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def program(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "interleaf", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, cwd=ROOT)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    data = str(tmp_path / "set" / "set.json")
    program("lessons", str(articles), "--out", str(tmp_path / "set"), "--orders", "1")
    said = program("tune", "tiny0", data, "--name", "house", "--rank", "2", "--accumulation", "4")
    assert "--writer tiny0+house" in said.stdout
    record = json.loads((home / "adapters" / "house" / "teaching.json").read_text())
    assert record["settings"]["partition"] == "glance", "as the writer will look at pictures"
    assert "tiny0+house" in program("adapters", "list").stdout
    wrong = program("compose", "-i", "A lock", "--writer", "tiny0+house2", "--out", str(tmp_path / "out"), code=2)
    assert "there are: tiny0+house" in wrong.stderr and not (tmp_path / "out").exists()
    brief = {
        "instruction": "Write an illustrated article: A lock",
        "outline": {"title": "A lock", "sections": [{"heading": "At dawn"}, {"heading": "At noon"}]},
        "pictures": [str(articles / "pictures")],
        "length_words": 60,
        "writer": "somebody else",
    }
    (tmp_path / "brief.json").write_text(json.dumps(brief))
    made = program("compose", str(tmp_path / "brief.json"), "--writer", "tiny0+house", "--out", str(tmp_path / "out"))
    assert "writer" in made.stderr and "tiny0+house" in made.stderr and "Loading weights" not in made.stderr
    article = json.loads((tmp_path / "out" / "article.json").read_text(encoding="utf-8"))
    assert article["run"]["writer"] == "tiny0+house"
    program("adapters", "remove", "house", "--yes")
    assert "no adapters yet" in program("adapters", "list").stdout
