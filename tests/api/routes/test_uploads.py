"""Uploads: known by content, named by us, bounded, gone when they are deleted."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from tests.api.service import BRIEF, Service, problem
from workers.store.uploads import Uploads, file_label


def picture(kind: str) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (8, 8), "navy").save(held, kind)
    return held.getvalue()


def archive() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("a.md", "text")
    return held.getvalue()


def send(service: Service, name: str, content: bytes, **said: Any) -> Any:
    return service.client().post("/v1/uploads", files={"file": (name, content, "text/html")}, **said)


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("a.txt", picture("PNG"), "image/png"),
        ("a.exe", picture("JPEG"), "image/jpeg"),
        ("a", picture("WEBP"), "image/webp"),
        ("a.png", archive(), "application/zip"),
        ("notes.MD", "# Ebb é\n".encode(), "text/markdown"),
        ("notes.html", b"<script>alert(1)</script>", "text/plain"),
    ],
)
def test_a_file_is_what_it_holds(service: Service, name: str, content: bytes, media_type: str) -> None:
    answer = send(service, name, content)
    told = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/uploads/{told['id']}"
    assert (told["media_type"], told["bytes"]) == (media_type, len(content))
    assert told["sha256"] == hashlib.sha256(content).hexdigest()
    client = service.client()
    assert client.get(answer.headers["Location"]).json() == told
    assert client.get("/v1/uploads").json()["data"] == [told]
    ordered = client.order(BRIEF | {"pictures": [told["reference"]]})
    assert ordered.status_code == 202
    assert service.jobs.brief(ordered.json()["id"], service.alice_id)["pictures"][0]["path"] == told["reference"]
    assert client.delete(answer.headers["Location"]).status_code == 204
    assert list(service.store.list()) == []
    assert problem(client.delete(answer.headers["Location"])) == (404, "object_unknown")
    assert problem(client.order(BRIEF | {"pictures": [told["reference"]]})) == (404, "object_unknown")


@pytest.mark.parametrize(
    "content", [b"", b"MZ\x00\x00", b"%PDF-1.7\xff\xfe", b"\x7fELF\x02\0", b"text\0more", b"\xff\xfe"]
)
def test_what_no_brief_can_use_is_refused_and_not_kept(service: Service, content: bytes) -> None:
    assert problem(send(service, "a.png", content)) == (415, "media_unsupported")
    assert list(service.store.list()) == []
    assert service.client().get("/v1/uploads").json()["data"] == []


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\..\\boot.ini",
        "/etc/shadow",
        "a\x00b.md",
        "\u202egnp.md",
        "<img src=x onerror=alert(1)>.md",
        "-rf ~.md",
        "CON",
        "é" * 300 + ".md",
        "..",
        ".",
        " ",
        "a\r\nSet-Cookie: x=1.md",
        "upload:upl_x.md",
    ],
)
def test_a_hostile_name_is_a_label_and_never_a_path(service: Service, name: str) -> None:
    answer = send(service, name, b"text")
    assert answer.status_code == 201, answer.text
    label = answer.json()["name"]
    assert 1 <= len(label) <= 200
    assert label.isprintable()
    assert "/" not in label
    assert "\\" not in label
    assert label not in (".", "..")
    assert [file.key for file in service.store.list()] == [f"uploads/{answer.json()['id']}"]
    written = [path for path in service.settings.home.rglob("*") if path.is_file() and "jobs.sqlite" not in path.name]
    assert [path.name for path in written] == [answer.json()["id"]]


def test_labels_are_cleaned_one_by_one() -> None:
    assert file_label("a/b\\c.md") == "c.md"
    assert file_label("") == file_label("/") == file_label("..") == "file"
    assert file_label("a\nb.md") == "a b.md"


def test_limits_hold_and_leave_nothing_behind(make_service: Callable[..., Service]) -> None:
    service = make_service(max_upload_bytes=1_000)
    assert send(service, "a.md", b"x" * 1_000).status_code == 201
    assert problem(send(service, "a.md", b"x" * 1_001)) == (413, "file_over_limit")
    assert problem(send(service, "a.md", b"x" * 200_000)) == (413, "file_over_limit")
    assert len(list(service.store.list())) == 1


def test_what_a_key_stores_is_bounded(service: Service) -> None:
    owner, secret = service.key("small", max_stored_bytes=100)
    service.artifact(b"x" * 50, owner=owner)
    client = service.client(secret)

    def sent(size: int) -> Any:
        return client.post("/v1/uploads", files={"file": ("a.md", b"x" * size)})

    first = sent(30)
    assert first.status_code == 201
    assert problem(sent(30)) == (429, "quota_reached")
    client.delete(first.headers["Location"])
    assert sent(30).status_code == 201
    assert len(list(service.store.list("uploads"))) == 1


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b"{}", (415, "media_unsupported")),
        ("multipart/form-data", b"", (400, "body_invalid")),
        ("multipart/form-data; boundary=x", b"--y\r\n", (400, "body_invalid")),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: nonsense\r\n\r\na\r\n--x--",
            (400, "body_invalid"),
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\na\r\n--x--\r\n',
            (400, "body_invalid"),
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\na\r\n' * 2 + b"--x--\r\n",
            (400, "body_invalid"),
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="n"\r\n\r\na\r\n' * 50 + b"--x--\r\n",
            (400, "body_invalid"),
        ),
    ],
)
def test_a_form_that_is_none(service: Service, content_type: str, body: bytes, expected: tuple[int, str]) -> None:
    answer = service.client().post("/v1/uploads", content=body, headers={"Content-Type": content_type})
    assert problem(answer) == expected


def test_an_upload_expires(service: Service) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    uploads = Uploads(service.database, service.store, kept=timedelta(days=1), max_bytes=1_000, clock=lambda: now[0])
    kept = uploads.add(service.alice_id, "a.md", io.BytesIO(b"text"))
    assert uploads.forget_expired() == 0
    now[0] += timedelta(days=2)
    assert uploads.list(service.alice_id, 10) == []
    assert uploads.forget_expired() == 1
    assert not service.store.exists(kept.file_key)
