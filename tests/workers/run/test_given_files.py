"""Given files: a picture that was sent lies under a name of ours, and is called what its sender calls it."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from interleaf.schema import Brief
from tests.workers.job_store import Store
from workers.run.given_files import bring_given
from workers.store.artifacts import ArtifactStore
from workers.store.tables import UploadRow

UPLOAD = "upl_01kaj5v1c8m2n4p6q8r0s2t4v6"


def test_a_sent_picture_has_its_senders_name_unless_the_brief_says_another(store: Store, tmp_path: Path) -> None:
    files = ArtifactStore((tmp_path / "files").as_uri())
    files.put(f"uploads/{UPLOAD}", BytesIO(b"pixels"))
    with store.database.transaction() as session:
        session.add(
            UploadRow(
                id=UPLOAD,
                owner=store.owner,
                name="old harbour.png",
                media_type="image/png",
                bytes=6,
                sha256="0" * 64,
                file_key=f"uploads/{UPLOAD}",
                created_at=datetime.now(UTC),
                expires_at=None,
            )
        )
    sent = f"upload:{UPLOAD}"
    asked = {"instruction": "x", "pictures": [sent, {"path": sent, "name": "the harbour.png"}, "beside.png"]}
    brief, folder = Brief.model_validate(asked), tmp_path / "uploads"
    found = bring_given(brief, store.owner, store.database, files, folder, max_notes_bytes=2**20)
    assert [picture.name for picture in found.pictures] == ["old harbour.png", "the harbour.png", ""]
    assert {picture.path for picture in found.pictures[:2]} == {str(folder / f"{UPLOAD}.png")}
    assert found.pictures[2] == brief.pictures[2]
