"""The example that edits a document, and `interleaf edit` at a service, over real processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from examples.service import edit_document
from interleaf import Client
from interleaf.cli.app import main as interleaf
from interleaf.schema import Paragraph
from tests.api.library_hands import picture
from tests.api.service import Service

TIDES = Path(__file__).parents[2] / "examples" / "tides" / "brief.yaml"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_document_is_edited_taken_back_and_done_again(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client() as client:
        document = client.compose(TIDES, timeout_s=120)
    page = edit_document.main(document.id, tmp_path / "out")
    told = capsys.readouterr().out
    assert "[-" in told
    assert "was edited meanwhile: it is at version 2, not 1" in told
    assert told.splitlines()[-5:] == [
        "  5 redo ",
        "  4 undo ",
        "  3 edit swap_picture",
        "  2 edit shorten",
        "  1 made ",
    ]
    assert "<figure" in page.read_text(encoding="utf-8")

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["interleaf", "edit", *arguments])
        with pytest.raises(SystemExit) as ended:
            interleaf()
        said = capsys.readouterr()
        assert not ended.value.code, said.err
        return said.out

    with Client() as client:
        newest = client.documents.get(document.id)
    block = next(one for one in newest.article.blocks if isinstance(one, Paragraph))
    assert block.id in run("show", document.id)
    out = tmp_path / "cli"
    said = run(document.id, "--block", block.id, "--op", "set_text", "--text", "Tides rise.", "--out", str(out))
    assert "version 6" in said
    assert "{+" in said
    assert "Tides rise." in (out / "article.html").read_text(encoding="utf-8")
    assert json.loads(run("undo", document.id, "--json"))["version"] == 7
    assert "undo: as version 3" in run("versions", document.id)
    assert "nothing differs" in run("diff", document.id, "--from", "5", "--to", "7")
    boat = tmp_path / "boat.png"
    boat.write_bytes(picture(3))
    said = run(document.id, "--op", "insert_picture", "--after", block.id, "--picture", str(boat))
    assert "+ figure" in said
