"""Artifacts: whole or in part, by hash; saved and never shown."""

from __future__ import annotations

import hashlib
import random

import httpx
import pytest

from tests.api.service import Service, problem

CONTENT = bytes(range(256)) * 40


def test_a_file_is_saved_and_never_shown(service: Service) -> None:
    content = b"<script>alert(document.domain)</script>"
    answer = service.client().get(f"/v1/artifacts/{service.artifact(content)}")
    assert answer.content == content
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="art_')
    assert answer.headers["Content-Disposition"].endswith('.html"')
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert "public" not in answer.headers["Cache-Control"]


def test_what_is_known_is_not_sent_again(service: Service) -> None:
    client, at = service.client(), f"/v1/artifacts/{service.artifact(CONTENT)}"
    etag = client.get(at).headers["ETag"]
    answer = client.get(at, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=10230-", 10230, 10240),
        ("bytes=10230-99999", 10230, 10240),
        ("bytes=-10", 10230, 10240),
        ("bytes=-99999", 0, 10240),
    ],
)
def test_a_part_is_sent(service: Service, asked: str, start: int, end: int) -> None:
    at = f"/v1/artifacts/{service.artifact(CONTENT)}"
    answer = service.client().get(at, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:end]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
    assert answer.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=20-10", "bytes=-0"])
def test_a_part_that_is_not_there(service: Service, asked: str) -> None:
    at = f"/v1/artifacts/{service.artifact(CONTENT)}"
    answer = service.client().get(at, headers={"Range": asked})
    assert problem(answer) == (416, "range_unsatisfiable")
    assert answer.headers["Content-Range"] == "bytes */10240"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=", "bytes=-"])
def test_what_is_no_single_range_gets_the_whole(service: Service, asked: str) -> None:
    at = f"/v1/artifacts/{service.artifact(CONTENT)}"
    answer = service.client().get(at, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, CONTENT)


def test_a_part_of_what_changed_is_the_whole(service: Service) -> None:
    client, at = service.client(), f"/v1/artifacts/{service.artifact(CONTENT)}"
    etag = client.get(at).headers["ETag"]
    same = client.get(at, headers={"Range": "bytes=0-4", "If-Range": etag})
    other = client.get(at, headers={"Range": "bytes=0-4", "If-Range": '"other"'})
    assert (same.status_code, other.status_code) == (206, 200)


def test_an_empty_file_and_one_that_was_lost(service: Service) -> None:
    client = service.client()
    empty = service.artifact(b"")
    assert client.get(f"/v1/artifacts/{empty}").content == b""
    assert client.get(f"/v1/artifacts/{empty}", headers={"Range": "bytes=0-"}).status_code == 416
    lost = service.artifact(b"x")
    service.store.delete(f"jobs/x/{lost}")
    assert problem(client.get(f"/v1/artifacts/{lost}")) == (404, "artifact_missing")


def test_a_large_file_comes_whole_through_a_server(service: Service) -> None:
    content = random.Random(1).randbytes(5 * 2**20 + 17)
    at = f"/v1/artifacts/{service.artifact(content, media_type='application/zip')}"
    with service.served() as base:
        whole = httpx.get(base + at, headers=service.headers())
        tail = httpx.get(base + at, headers=service.headers() | {"Range": f"bytes={2**22}-"})
    assert hashlib.sha256(whole.content).digest() == hashlib.sha256(content).digest()
    assert tail.content == content[2**22 :]
