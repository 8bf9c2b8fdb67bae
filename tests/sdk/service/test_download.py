"""Downloads: whole and with the right hash whatever breaks on the way, or not there at all."""

from __future__ import annotations

import random
from pathlib import Path

import anyio
import httpx
import pytest

from interleaf import AsyncClient, Client
from interleaf.errors import ObjectUnknown, OutputUnwritable, ServiceAway, ServiceError
from tests.api.service import Service
from tests.sdk.faulty_transport import QUICK, Cut, Faulty, busy

CONTENT = random.Random(5).randbytes(400_000)


def test_it_goes_on_where_it_broke_off(service: Service, tmp_path: Path) -> None:
    artifact = service.artifact(CONTENT)
    with service.served() as url:
        faulty = Faulty(Cut(100_000), busy(), Cut(150_000), Cut(None), Cut(1), concerns="/v1/artifacts")
        with Client(url, service.alice, retrying=QUICK, transport=faulty) as client:
            path = client.artifacts.download(artifact, tmp_path / "new" / "page.html")
        assert path.read_bytes() == CONTENT
        assert [one.headers.get("Range") for one in faulty.seen] == [
            None,
            "bytes=100000-",
            "bytes=100000-",
            "bytes=250000-",
            "bytes=250000-",
            "bytes=250001-",
        ]
        assert [one.name for one in path.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_sizes(service: Service, content: bytes) -> None:
    artifact = service.artifact(content)
    with service.served() as url, Client(url, service.alice, retrying=QUICK) as client:
        assert client.artifacts.read(artifact) == content


def test_other_bytes_are_not_kept(service: Service, tmp_path: Path) -> None:
    artifact = service.artifact(CONTENT)
    wrong = httpx.Response(200, content=b"other", headers={"ETag": f'"{"0" * 64}"'})
    unsaid = httpx.Response(200, content=b"other")
    (tmp_path / "page.html").write_text("what was there")
    with service.served() as url:
        for fault in (wrong, unsaid):
            faulty = Faulty(fault, concerns="/v1/artifacts")
            with (
                Client(url, service.alice, retrying=QUICK, transport=faulty) as client,
                pytest.raises(ServiceError, match="other bytes"),
            ):
                client.artifacts.download(artifact, tmp_path / "page.html")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir() if one.is_file()] == [
        ("page.html", "what was there")
    ]


def test_a_file_that_changed_meanwhile_is_begun_anew(service: Service) -> None:
    """The part that came first belongs to another file: If-Range makes the service send the whole."""
    first, second = service.artifact(CONTENT), service.artifact(b"second" * 1_000)
    with service.served() as url:
        faulty = Faulty(Cut(70_000), concerns="/v1/artifacts")
        real = faulty.handle_request

        def changed(request: httpx.Request) -> httpx.Response:
            if len(faulty.seen) == 1:
                request.url = httpx.URL(str(request.url).replace(first, second))
            return real(request)

        faulty.handle_request = changed  # type: ignore[method-assign]
        with Client(url, service.alice, retrying=QUICK, transport=faulty) as client:
            assert client.artifacts.read(first) == b"second" * 1_000


def test_what_cannot_be_fetched_or_written_leaves_nothing(service: Service, tmp_path: Path) -> None:
    artifact = service.artifact(CONTENT)
    (tmp_path / "file").write_text("")
    with service.served() as url:
        faulty = Faulty(*(Cut(0) for _ in range(50)), concerns=f"/v1/artifacts/{artifact}")
        with Client(url, service.alice, retrying=QUICK, transport=faulty) as client:
            with pytest.raises(ServiceAway):
                client.artifacts.download(artifact, tmp_path / "out" / "a")
            with pytest.raises(ObjectUnknown):
                client.artifacts.download("art_x", tmp_path / "out" / "b")
            with pytest.raises(OutputUnwritable):
                client.artifacts.download(artifact, tmp_path / "file" / "c")
    assert list((tmp_path / "out").iterdir()) == []


def test_with_an_event_loop(service: Service, tmp_path: Path) -> None:
    artifact = service.artifact(CONTENT)

    async def fetch(url: str) -> bytes:
        faulty = Faulty(Cut(100_000), busy(), Cut(150_000), concerns="/v1/artifacts")
        async with AsyncClient(url, service.alice, retrying=QUICK, transport=faulty) as client:
            path = await client.artifacts.download(artifact, tmp_path / "a")
            return path.read_bytes()

    with service.served() as url:
        assert anyio.run(fetch, url) == CONTENT
