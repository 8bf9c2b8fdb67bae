"""Hostile uploads through a real worker: archives whose names lead elsewhere, links, bombs, entities; what is good in
them is used, nothing is written outside the run, and the job says what was left out."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from tests.retrieval.drawing import encoded, scene
from tests.workers.job_service import JobService
from workers.store.ids import new_id
from workers.store.tables import UploadRow


@pytest.fixture
def service(tmp_path: Path) -> Iterator[JobService]:
    made = JobService(tmp_path / "home")
    made.start("compose", "render", "beat")
    yield made
    made.stop()


def upload(service: JobService, content: bytes, media_type: str, name: str) -> str:
    """Its reference, as a brief names it."""
    now = datetime.now(UTC)
    upload_id = new_id("upl", now)
    key = f"uploads/{upload_id}"
    service.store.artifacts.put(key, [content])
    with service.store.database.transaction() as session:
        session.add(
            UploadRow(
                id=upload_id,
                owner=service.owner,
                name=name,
                media_type=media_type,
                bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                file_key=key,
                created_at=now,
                expires_at=None,
            )
        )
    return f"upload:{upload_id}"


def hostile_archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        good = encoded(scene(1, (640, 480)))
        for name in (
            "../../../../evil.jpg",
            "/etc/evil.jpg",
            "C:\\evil.jpg",
            "..\\..\\evil2.jpg",
            "CON.jpg",
            "a/./b.jpg",
        ):
            archive.writestr(name, good)
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        # 400 megapixels in a few kilobytes; zeros that unfold a thousandfold; an archive in the archive.
        bomb = io.BytesIO()
        Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
        archive.writestr("bomb.png", bomb.getvalue())
        archive.writestr("zeros.bmp", b"BM" + b"\0" * 30_000_000)
        archive.writestr("inner.zip", out.getvalue())
        archive.writestr("manifest.csv", "file,caption\nb.jpg,=cmd|' /C calc'!A0 <script>alert(1)</script>\n")
    return out.getvalue()


def outside(service: JobService) -> set[str]:
    """Every file of the data folder and beside it that no part of the service has to write."""
    root = service.home.parent
    kept = ("runs", "artifacts", "redis", "jobs.sqlite", "library", "libraries")
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {
        name
        for name in found
        if not (name.startswith("home/") and name.split("/")[1].startswith(kept)) and not name.endswith(".log")
    }


def test_an_archive_leads_nowhere_and_its_bombs_do_not_unfold(service: JobService) -> None:
    before = outside(service)
    reference = upload(service, hostile_archive(), "application/zip", "../../photos.zip")
    job = service.wait(service.submit(pictures=[reference], pictures_wanted=1))
    assert job.state == "succeeded", job.error
    assert outside(service) == before
    assert not Path("/etc/evil.jpg").exists()
    kept = service.store.results.document_of(job.id)
    assert kept is not None
    article = kept.article
    assert len(article.figures) == 1
    warned = " ".join(notice.message for notice in article.report.warnings)
    for name in ("bomb.png", "zeros.bmp", "inner.zip"):
        assert name in warned, warned
    for picture in article.pictures:
        assert "/" not in picture.name
        assert "\\" not in picture.name
    # What was written in the run is named by us.
    for path in (service.home / "runs").rglob("*"):
        assert "evil" not in path.name


def test_a_picture_bomb_by_itself_fails_the_job_by_name_and_the_worker_lives(service: JobService) -> None:
    bomb = io.BytesIO()
    Image.new("1", (60_000, 60_000)).save(bomb, "PNG")
    assert len(bomb.getvalue()) < 2**20
    job = service.wait(service.submit(pictures=[upload(service, bomb.getvalue(), "image/png", "bomb.png")]))
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["code"] == "picture_unreadable"
    assert job.attempt == 1
    assert service.wait(service.submit()).state == "succeeded"
