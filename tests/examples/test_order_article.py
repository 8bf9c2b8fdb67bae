"""The example that approves an outline, over real processes: API on a socket, Redis, a compose and a render worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.service.order_article import main
from interleaf import Client
from interleaf.errors import InvalidBrief, SourceUnreadable
from tests.api.service import Service

TIDES = Path(__file__).parents[2] / "examples" / "tides" / "brief.yaml"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


def test_an_outline_is_approved_and_the_page_comes(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = main(TIDES, tmp_path / "out")
    html = page.read_text(encoding="utf-8")
    assert "<figure" in html, "pictures of the folder went along"
    told = capsys.readouterr().out
    assert told.index("job.awaiting_input") < told.index("job.answered") < told.index("job.succeeded")
    with Client() as client:
        document = client.compose(TIDES, timeout_s=120)  # the one-liner, without approval
        assert document.article.figures
        assert client.artifacts.read(document.artifact("html"))
        # The article rests on the notes that lie beside the brief, by their own names.
        assert {source.name for source in document.article.sources} <= {
            path.name for path in (TIDES.parent / "notes").iterdir()
        }
        sent = client.uploads.list(limit=100).data
        # The notes with the picture that one of them shows, and the pictures.
        assert {upload.media_type for upload in sent} == {"application/zip"}
        before = len(sent)
        with pytest.raises(SourceUnreadable):
            client.compose({"instruction": "x", "sources": ["nowhere.md"]}, base=tmp_path)
        with pytest.raises(InvalidBrief, match="nowhere"):
            client.compose({"instruction": "x", "pictures": ["nowhere"]}, base=tmp_path)
        assert len(client.uploads.list(limit=100).data) == before
