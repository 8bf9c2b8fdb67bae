"""`interleaf compose` as a person and a script meet it: files, exit codes, JSON, resuming, clear errors."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from interleaf.cli.app import app, main
from interleaf.composer import Composer
from interleaf.schema import Event
from tests.sdk.material import write_material

INSTRUCTION = "How a canal lock works and where its water comes from"


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_material(tmp_path_factory.mktemp("material"))
    brief = {"instruction": INSTRUCTION, "sources": ["notes/"], "pictures": ["pictures/"], "length_words": 220}
    (folder / "brief.yaml").write_text(yaml.safe_dump(brief), encoding="utf-8")
    return folder


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The program's own exit code."""
    monkeypatch.setattr(sys, "argv", ["interleaf", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_brief_file_becomes_a_page_a_bundle_and_a_document(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = _main(
        monkeypatch, "compose", str(material / "brief.yaml"), "--out", str(out), "--home", str(tmp_path / "h"), "--json"
    )
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert sorted(p.name for p in out.iterdir()) == ["article.html", "article.json", "article.zip"]
    assert {Path(f).name for f in said["files"]} == {"article.html", "article.json", "article.zip"}
    assert said["report"]["pictures_placed"] >= 2


def test_interrupted_it_says_how_to_go_on_and_goes_on(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, home = tmp_path / "my out", tmp_path / "h"
    true_events, interrupting = Composer.stream_from, [True]

    def interrupted(self: Composer, *given: Any) -> Iterator[Event]:
        for event in true_events(self, *given):
            yield event
            if event.stage == "draft" and interrupting.pop():
                raise KeyboardInterrupt

    monkeypatch.setattr(Composer, "stream_from", interrupted)
    common = ["--out", str(out), "--home", str(home), "--quiet"]
    assert _main(monkeypatch, "compose", str(material / "brief.yaml"), *common) == 130
    said = capsys.readouterr().err
    assert said.startswith("interrupted; go on with: interleaf compose --resume ")
    words = shlex.split(said.partition("go on with: interleaf ")[2])
    assert words[3:] == ["--out", str(out), "--home", str(home)]
    assert _main(monkeypatch, *words) == 0
    assert (out / "article.html").is_file()


def test_options_override_the_brief_and_stages_are_told(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["compose", str(material / "brief.yaml"), "--title", "Mine [bold]", "--format", "html"]
    arguments += ["--pictures-wanted", "1", "--out", str(tmp_path / "out"), "--home", str(tmp_path / "h")]
    assert _main(monkeypatch, *arguments) == 0
    said = capsys.readouterr()
    assert "Mine [bold]" in said.err
    assert "choose" in said.err
    assert said.out.splitlines() == [str(tmp_path / "out" / name) for name in ("article.json", "article.html")]
    article = json.loads((tmp_path / "out" / "article.json").read_text(encoding="utf-8"))
    assert sum(block["type"] == "figure" for block in article["blocks"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["compose"], 2, "BRIEF"),
        (["compose", "absent.yaml"], 2, "absent.yaml"),
        (["compose", "-i", "x"], 2, "sources"),
        (["compose", "-i", "x", "-n", "absent/"], 2, "absent"),
        (["compose", "-i", "x", "--format", "pptx"], 2, "pptx"),
        (["compose", "-i", "x", "--theme", "neon"], 2, "neon"),
        (["compose", "-i", "x", "--length", "-3"], 2, "length_words"),
        (["compose", "-i", "x", "--pictures-wanted", "some"], 2, "pictures_wanted"),
        (["compose", "-i", "x", "--out", "/proc/interleaf"], 3, "/proc/interleaf"),
        (["compose", "--resume", "r-absent"], 2, "r-absent"),
        (["compose", "--resume", "../x"], 2, "run id"),
        (["compose", "--approve"], 2, "--resume"),
        (["compose", "--resume", "r-absent", "--writer", "xc25"], 2, "--writer"),
        (["schema", "colour"], 2, "colour"),
    ],
)
def test_errors_name_the_thing_and_have_their_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "compose":
        arguments = [*arguments, "--home", str(tmp_path / "h")]
        if "--out" not in arguments:
            arguments += ["--out", "out"]
    assert _main(monkeypatch, *arguments) == code
    said = capsys.readouterr().err
    assert words in said.replace("\n", "")
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists(), "nothing half-written stays behind"
    assert not list((tmp_path / "h").glob("runs/*")), "a run that never began leaves no folder"


@pytest.mark.parametrize("writer", ["nobody", "../models/x", "/x", "xc25+style", "[bold]"])
def test_a_writer_that_is_not_here_is_refused_with_those_that_are(
    writer: str, material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--out", str(tmp_path / "out"), "--home", str(tmp_path / "h")]
    assert _main(monkeypatch, "compose", str(material / "brief.yaml"), "--writer", writer, *common) == 2
    said = capsys.readouterr().err
    assert "is not a writer here. Choose one of: extractive. Or: interleaf models add DIR" in said and writer in said
    assert not (tmp_path / "out").exists() and "Traceback" not in said


def test_the_summary_names_the_writer(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--writer", "extractive", "--out", str(tmp_path / "out"), "--home", str(tmp_path / "h"), "-f", "html"]
    assert _main(monkeypatch, "compose", str(material / "brief.yaml"), *common) == 0
    assert re.search(r"writer\W+extractive", capsys.readouterr().err)
    assert _main(monkeypatch, "compose", str(material / "brief.yaml"), *common, "--json") == 0
    assert json.loads(capsys.readouterr().out)["writer"] == "extractive"


def test_errors_are_json_for_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _main(monkeypatch, "compose", "-i", "x", "--json", "--home", "h") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "invalid_brief"


def test_an_outline_is_asked_for_and_answered_by_another_process(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--home", str(tmp_path / "h"), "--out", str(tmp_path / "out")]
    code = _main(monkeypatch, "compose", str(material / "brief.yaml"), "--ask-outline", "--json", *common)
    said = json.loads(capsys.readouterr().out)
    assert code == 7
    assert said["needs_input"]["asks"] == "outline"
    assert not (tmp_path / "out").exists()

    assert _main(monkeypatch, "runs", "--home", str(tmp_path / "h"), "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["state"] == "waiting"

    answer = {"outline": {**said["needs_input"]["outline"], "title": "Approved by hand"}}
    (tmp_path / "answer.yaml").write_text(yaml.safe_dump(answer), encoding="utf-8")
    code = _main(monkeypatch, "compose", "--resume", said["run_id"], "--answer", str(tmp_path / "answer.yaml"), *common)
    assert code == 0
    assert "Approved by hand" in (tmp_path / "out" / "article.html").read_text(encoding="utf-8")


def test_help_teaches() -> None:
    text = CliRunner().invoke(app, ["compose", "--help"], env={"COLUMNS": "120", "TERM": "dumb"}).output
    assert "Examples" in text
    assert "--resume" in text


def test_schemas_are_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _main(monkeypatch, "schema", "brief") == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["additionalProperties"] is False
    assert "instruction" in schema["required"]


@pytest.mark.slow
def test_killed_at_any_moment_the_same_run_id_gives_the_undisturbed_article(material: Path, tmp_path: Path) -> None:
    """The real program, the real encoder, kill -9: started again with the same command it goes on and ends the same."""
    command = [sys.executable, "-m", "interleaf", "compose", str(material / "brief.yaml"), "--quiet"]
    environment = {**os.environ, "INTERLEAF_THREADS": "1"}

    def arguments(name: str) -> list[str]:
        return [*command, "--run-id", "run-1", "--home", str(tmp_path / name), "--out", str(tmp_path / name / "out")]

    began = time.monotonic()
    subprocess.run(arguments("calm"), check=True, env=environment, capture_output=True)
    whole_s = time.monotonic() - began
    for share in (0.35, 0.7, 0.9):
        process = subprocess.Popen(
            arguments("killed"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=whole_s * share)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    subprocess.run(arguments("killed"), check=True, env=environment, capture_output=True)
    for name in ("article.json", "article.html", "article.zip"):
        assert (tmp_path / "killed" / "out" / name).read_bytes() == (tmp_path / "calm" / "out" / name).read_bytes()
    ids = [
        json.loads(line)["id"]
        for line in (tmp_path / "killed" / "runs" / "run-1" / "events.jsonl").read_text(encoding="utf-8").splitlines()
        if line.endswith("}")
    ]
    assert ids == sorted(set(ids)), "event ids rise, none twice"
