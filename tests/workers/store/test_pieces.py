"""Pieces and uploads on both databases: their owner's alone, by page, and never half there."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest

from interleaf.errors import InterleafError, MediaUnsupported, ObjectUnknown, QuotaReached
from tests.workers.job_store import Store, new_key
from workers.store.artifacts import ArtifactStore
from workers.store.ids import new_id
from workers.store.pieces import Pieces
from workers.store.tables import ArtifactRow, DocumentFileRow, DocumentRow, DocumentVersionRow
from workers.store.uploads import Uploads, upload_named


def test_pieces_are_their_owners_alone(store: Store) -> None:
    job = store.create()
    document_id, artifact_id = new_id("doc", store.clock()), new_id("art", store.clock())
    common = {"owner": store.owner, "job_id": job.id, "created_at": store.clock()}
    with store.database.transaction() as session:
        session.add(DocumentRow(id=document_id, title="Tides", version=2, article={"v": 2}, **common))
        session.flush()
        for version in (1, 2):
            session.add(
                DocumentVersionRow(
                    document_id=document_id, version=version, article={"v": version}, created_at=store.clock()
                )
            )
        session.add(
            ArtifactRow(
                id=artifact_id,
                document_id=document_id,
                format="html",
                media_type="text/html",
                bytes=3,
                sha256="0" * 64,
                file_key="jobs/x/y",
                **common,
            )
        )
        session.flush()
        session.add(DocumentFileRow(document_id=document_id, version=2, format="html", artifact_id=artifact_id))
    pieces = Pieces(store.database)
    document = pieces.document(document_id, store.owner)
    assert (document.version, document.article, [one.id for one in document.artifacts]) == (2, {"v": 2}, [artifact_id])
    assert pieces.document(document_id, store.owner, 1).article == {"v": 1}
    assert [one.id for one in pieces.documents(store.owner, 5)] == [document_id]
    assert pieces.artifact(artifact_id, store.owner).format == "html"
    assert [one.id for one in pieces.artifacts_of([job.id], store.owner)[job.id]] == [artifact_id]
    other = new_key_of(store)
    assert pieces.documents(other, 5) == []
    assert pieces.artifacts_of([job.id], other) == {job.id: ()}
    for name in (document_id, "doc_" + "0" * 26, "\0", ""):
        with pytest.raises(ObjectUnknown):
            pieces.document(name, other)
    with pytest.raises(ObjectUnknown):
        pieces.document(document_id, store.owner, 3)
    with pytest.raises(ObjectUnknown):
        pieces.artifact(artifact_id, other)


def test_an_upload_is_there_wholly_or_not_at_all(store: Store, tmp_path: Path) -> None:
    files = ArtifactStore(str(tmp_path / "files"))
    uploads = Uploads(store.database, files, kept=timedelta(days=1), max_bytes=100, clock=store.clock)
    kept = uploads.add(store.owner, "a.md", io.BytesIO(b"text"))
    assert (uploads.get(kept.id, store.owner), files.read_all(kept.file_key)) == (kept, b"text")

    def also(upload: object) -> None:
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        uploads.add(store.owner, "b.md", io.BytesIO(b"text"), also=also)
    refused: list[tuple[type[InterleafError], bytes, int]] = [
        (MediaUnsupported, b"\0", 1_000),
        (QuotaReached, b"text", 7),
        (InterleafError, b"x" * 101, 1_000),
    ]
    for error, content, most in refused:
        with pytest.raises(error):
            uploads.add(store.owner, "c.md", io.BytesIO(content), max_stored_bytes=most)
    assert [file.key for file in files.list()] == [kept.file_key]
    assert uploads.list(store.owner, 10) == [kept]
    other = new_key_of(store)
    with pytest.raises(ObjectUnknown):
        uploads.require([kept.id], other)
    with pytest.raises(ObjectUnknown):
        uploads.delete(kept.id, other)
    uploads.require([kept.id] * 2_000, store.owner)
    uploads.delete(kept.id, store.owner)
    assert list(files.list()) == []


def test_a_reference_names_an_upload_or_nothing() -> None:
    upload_id = "upl_" + "0" * 26
    assert upload_named(f"upload:{upload_id}") == upload_id
    for path in (upload_id, "upload:", f"upload:{upload_id}/..", f"upload:upload:{upload_id}", f" upload:{upload_id}"):
        assert upload_named(path) is None


def new_key_of(store: Store) -> str:
    """A key of somebody else."""
    return new_key(store.database, store.clock)
