"""`interleaf batches` as a person and a script meet it; and the files of items that they hand in."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interleaf.cli.app import main
from interleaf.cli.item_file import MAX_BYTES, read_items
from interleaf.errors import InvalidRequest, JobActive, ObjectUnknown, WorkerLost
from tests.api.service import Service

Run = Callable[..., str]


@pytest.fixture
def run(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Runs the program; what it printed. `code` is the exit code that is expected."""
    with service.served() as url:
        monkeypatch.setenv("INTERLEAF_SERVER", url)
        monkeypatch.setenv("INTERLEAF_API_KEY", service.alice)
        monkeypatch.setenv("COLUMNS", "220")

        def program(*arguments: str, code: int = 0) -> str:
            monkeypatch.setattr(sys, "argv", ["interleaf", "batches", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
            said = capsys.readouterr()
            assert int(ended.value.code or 0) == code, said.err
            return said.out + said.err if code else said.out

        yield program


@pytest.fixture
def brief(tmp_path: Path) -> Path:
    (tmp_path / "notes.md").write_text("# Tides\n\nThe moon pulls the sea.\n", encoding="utf-8")
    path = tmp_path / "brief.yaml"
    path.write_text("instruction: The tide at {{ harbour }}\nsources: [notes.md]\n", encoding="utf-8")
    return path


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_from_its_making_to_its_end(service: Service, run: Run, brief: Path, tmp_path: Path) -> None:
    rows = written(tmp_path, "harbours.csv", 'custom_id,harbour\nbrest,Brest\ncork,"Cork, [south]"\n')
    made = run("create", str(brief), str(rows), "--name", "Tides [all]").strip()
    assert "Tides [all]" in run("list") and "2 queued" in run("list")
    run("wait", made, "--timeout", "0", code=JobActive.exit_code)
    shown = json.loads(run("items", made, "--json"))
    assert [item["variables"] for item in shown["items"]] == [{"harbour": "Brest"}, {"harbour": "Cork, [south]"}]
    first, second = (item["job_id"] for item in shown["items"])
    service.leases.finish(
        service.claim(first),
        "succeeded",
        result={"document_id": None, "report": {"sentences": 4, "sentences_with_span": 2}},
    )
    service.leases.finish(service.claim(second), "failed", error=WorkerLost(second, "stopped."))
    told = run("wait", made)
    assert "1 failed, 1 succeeded" in told and "The tide at {{ harbour }}" in told
    lines = [json.loads(line) for line in run("results", made, "--ranked", "--json").splitlines()]
    assert [line["state"] for line in lines] == ["succeeded", "failed"] and lines[0]["score"]["grounding"] == 0.5
    table = run("results", made, "--limit", "1")
    assert "brest" in table and "0.50" in table and "cork" not in table
    assert "stopped." in run("items", made)
    assert "1 succeeded" in run("retry", made)
    assert "1 canceled, 1 succeeded" in run("cancel", made)
    assert json.loads(run("show", made, "--json"))["ended"]
    assert "is deleted" in run("delete", made)
    assert run("list").strip() == "no batches"
    assert "no such batch" in run("show", made, code=ObjectUnknown.exit_code)


def test_what_is_refused_is_told_and_variants_are_made(run: Run, brief: Path, tmp_path: Path) -> None:
    lines = written(
        tmp_path, "items.jsonl", '{"custom_id": "a", "variables": {"harbour": "Brest"}}\n\n{"custom_id": "b"}\n'
    )
    made = json.loads(run("create", str(brief), str(lines), "--json"))
    assert made["counts"] == {"waiting": 1, "refused": 1}
    assert "refused" in run("items", made["id"]) and "harbour" in run("items", made["id"])
    plain = written(tmp_path, "plain.yaml", "instruction: Say what the tide is.\nsources: [notes.md]\n")
    several = json.loads(run("variants", str(plain), "--count", "3", "--first-seed", "5", "--json"))
    assert (several["kind"], several["item_count"]) == ("variants", 3)
    page = json.loads(run("list", "--limit", "1", "--json"))
    assert page["next"] == several["id"] == page["batches"][0]["id"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "line 1"),
        ("a.csv", "harbour\nBrest\n", "custom_id"),
        ("a.csv", "custom_id,a,a\n1,2,3\n", "each once"),
        ("a.csv", "custom_id,a\n1\n", "line 2 has 1 values for 2 columns"),
        ("a.csv", 'custom_id,a\n1,"x\n', "is no CSV"),
        ("a.csv", "custom_id,a\n", "has 0 items"),
        ("a.jsonl", "{\n", "line 1 is not JSON"),
        ("a.jsonl", "[" * 100_000, "line 1 is not JSON"),
        ("a.jsonl", '{"custom_id": "a"}\n[]\n', "line 2 is no item"),
        ("a.jsonl", '{"custom_id": 1}\n', "is no item"),
        ("a.jsonl", '{"custom_id": "a", "harbour": "x"}\n', "'harbour' is no field"),
        ("a.jsonl", '{"custom_id": "a"}\n' * 1_001, "has 1001 items"),
        ("a.jsonl", " " * (MAX_BYTES + 1), "is larger"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_its_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = written(tmp_path, name, text)
    with pytest.raises(InvalidRequest) as refused:
        read_items(path)
    assert str(path) in refused.value.message and said in refused.value.message.replace(": ", " ")


def test_files_that_are_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        read_items(tmp_path / "none.csv")
    (tmp_path / "raw.csv").write_bytes(b"custom_id\n\xff\n")
    with pytest.raises(InvalidRequest) as refused:
        read_items(tmp_path / "raw.csv")
    assert "UTF-8" in refused.value.message
    bom = tmp_path / "bom.csv"
    bom.write_bytes("\ufeffcustom_id,harbour\r\na,Brest\r\n".encode())
    assert read_items(bom) == [{"custom_id": "a", "variables": {"harbour": "Brest"}}]
