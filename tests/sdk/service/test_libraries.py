"""Picture libraries through both clients: filled from folders, searched, fetched, emptied."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from interleaf import AsyncClient, Client
from interleaf.errors import InvalidRequest, NameTaken, ObjectUnknown, PictureMissing, PictureUnreadable, ServiceAway
from interleaf.service.retrying import Retrying
from tests.api.conftest import make_service, service
from tests.api.library_hands import LibraryHands, drawn, picture, zipped
from tests.api.service import Service

__all__ = ["make_service", "service"]


@pytest.fixture
def hands(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[LibraryHands]:
    made = LibraryHands(service, monkeypatch)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures with words beside them, an archive, and what does not belong."""
    found = tmp_path / "photos"
    (found / "old").mkdir(parents=True)
    for i in range(3):
        (found / f"p{i}.png").write_bytes(picture(i))
    (found / "old" / "p3.png").write_bytes(picture(3))
    (found / "more.zip").write_bytes(zipped({"p4.png": picture(4)}))
    (found / "manifest.csv").write_text("file,caption\np0.png,fishing boats\np1.png,a stone bridge\n")
    (found / ".hidden.png").write_bytes(picture(9))
    (found / "letter.docx").write_bytes(b"PK\x03\x04 no picture")
    return found


def test_a_folder_becomes_a_library(hands: LibraryHands, folder: Path, tmp_path: Path) -> None:
    with hands.service.served() as url, Client(url, hands.service.alice) as client:
        library = client.libraries.create("harbour", "Boats and bridges")
        with pytest.raises(NameTaken):
            client.libraries.create("harbour")
        job = client.libraries.ingest(library, folder, author="Jo Lind", licence="CC0-1.0", metadata={"a": "b"}).wait(
            60
        )
        job.raise_for_state()
        assert (job.record.kind, job.record.metadata) == ("ingest", {"a": "b"})
        assert job.result is not None
        assert job.result.report is not None
        assert job.result.report["counts"]["added"] == 5
        library = client.libraries.get(library)
        assert (library.name, library.description, library.picture_count) == ("harbour", "Boats and bridges", 5)
        assert client.libraries.find("harbour") == library
        assert client.libraries.list().data == (library,)
        with pytest.raises(ObjectUnknown):
            client.libraries.find("mountains")

        pictures = list(client.libraries.each_picture(library, limit=2))
        assert len({one.id for one in pictures}) == 5
        assert client.libraries.pictures(library, licence=["CC-BY-*"]).data == ()
        first = client.libraries.pictures(library, id_prefix=pictures[0].id[:12]).data
        assert first == (pictures[0],)
        assert client.libraries.picture(library.id, pictures[0]) == pictures[0]

        hits = client.libraries.search(library, "a bridge of stone", k=2, licence_policy="open")
        assert (len(hits), hits[0].picture.caption) == (2, "a stone bridge")
        assert hits[0].score >= hits[1].score
        small = tmp_path / "small.jpg"
        drawn(0).resize((64, 64)).save(small)
        assert client.libraries.search(library, picture=small)[0].picture.caption == "fishing boats"
        # What was sent to search with does not stay.
        assert {upload.name for upload in client.uploads.list().data} == {"photos.zip", "more.zip"}
        sent = client.uploads.create(picture(1), "b.png")
        for named in (sent, sent.id, sent.reference):
            assert client.libraries.search(library, picture=named, k=1)[0].picture.caption == "a stone bridge"

        target = client.libraries.download(library, hits[0].picture, tmp_path / "out" / "bridge.png")
        assert Image.open(target).size == (96, 96)
        assert client.libraries.read(library, hits[0].picture.id) == target.read_bytes()

        client.libraries.remove(library, hits[0].picture)
        with pytest.raises(PictureMissing):
            client.libraries.picture(library, hits[0].picture)
        with pytest.raises(PictureMissing):
            client.libraries.download(library, hits[0].picture, tmp_path / "none.png")
        assert not (tmp_path / "none.png").exists()
        client.libraries.delete(library)
        assert client.libraries.list().data == ()


def test_with_an_event_loop_too(hands: LibraryHands, folder: Path, tmp_path: Path) -> None:
    async def work(url: str) -> None:
        async with AsyncClient(url, hands.service.alice) as client:
            library = await client.libraries.create("harbour")
            job = await (await client.libraries.ingest(library, folder / "p0.png", str(folder / "more.zip"))).wait(60)
            assert job.state == "succeeded"
            assert (await client.libraries.get(library.id)).picture_count == 2
            pictures = [one async for one in client.libraries.each_picture(library, limit=1)]
            assert len(pictures) == 2
            assert len((await client.libraries.pictures(library)).data) == 2
            hits = await client.libraries.search(library, picture=folder / "p0.png", k=1)
            assert (hits[0].score, hits[0].picture.name) == (1.0, "p0.png")
            assert await client.libraries.picture(library, hits[0].picture) == hits[0].picture
            target = await client.libraries.download(library, pictures[0], tmp_path / "a.png")
            assert target.read_bytes() == await client.libraries.read(library, pictures[0])
            await client.libraries.remove(library, pictures[0])
            assert (await client.libraries.find("harbour")).picture_count == 1
            assert len((await client.libraries.list()).data) == 1
            await client.libraries.delete(library)

    with hands.service.served() as url:
        asyncio.run(work(url))


@pytest.mark.parametrize(("name", "error"), [("none", PictureUnreadable), ("empty", InvalidRequest)])
def test_what_holds_no_picture_is_not_sent(hands: LibraryHands, tmp_path: Path, name: str, error: type) -> None:
    (tmp_path / "empty").mkdir()
    with hands.service.served() as url, Client(url, hands.service.alice) as client:
        library = client.libraries.create("harbour")
        with pytest.raises(error):
            client.libraries.ingest(library, tmp_path / name)
        assert client.uploads.list().data == ()
        assert client.jobs.list().data == ()


def test_a_search_that_nobody_answers_is_away(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service(library_wait_s=0.2)
    hands = LibraryHands(service, monkeypatch)
    hands.idle = True
    once = Retrying(attempts=1)
    with service.served() as url, Client(url, service.alice, retrying=once) as client:
        library = client.libraries.create("harbour")
        with pytest.raises(ServiceAway):
            client.libraries.search(library, "boats")
    hands.close()


def test_a_wrong_search_is_refused_as_in_process(hands: LibraryHands) -> None:
    with hands.service.served() as url, Client(url, hands.service.alice) as client:
        library = client.libraries.create("harbour")
        for asked in ({"text": "a", "k": 0}, {"text": " "}, {}):
            with pytest.raises(Exception, match=r"k|text|picture") as caught:
                client.libraries.search(library, **asked)  # type: ignore[arg-type]
            assert caught.value.code in ("invalid_body", "body_invalid", "request_refused")  # type: ignore[attr-defined]


def test_a_brief_names_a_library(hands: LibraryHands, folder: Path) -> None:
    with hands.service.served() as url, Client(url, hands.service.alice) as client:
        client.libraries.create("harbour")
        hands.idle = True
        brief: dict[str, Any] = {
            "instruction": "Boats",
            "sources": [{"text": "Boats float."}],
            "libraries": ["harbour"],
        }
        assert client.jobs.create(brief).brief().libraries == ("harbour",)
        with pytest.raises(Exception, match="mountains") as caught:
            client.jobs.create(brief | {"libraries": ["mountains"]})
        assert (caught.value.code, caught.value.thing) == ("invalid_brief", "libraries[0]")  # type: ignore[attr-defined]
