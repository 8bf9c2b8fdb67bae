"""A library from beginning to end over `interleaf serve`, with the real encoder and real processes: two owners, a piece
with its pictures, a worker that is killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from interleaf import Client
from interleaf.errors import ObjectUnknown
from tests.workers.service.served import Served, wait_for

ROOT = Path(__file__).resolve().parents[3]
TIDES = ROOT / "examples" / "tides"
PROGRAM = (sys.executable, str(Path(__file__).with_name("whole_service.py")), "serve")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("library") / "data", PROGRAM, lease_s=6, upkeep_s=0.5)
    made.start()
    yield made
    made.close()


@pytest.mark.slow
def test_a_library_from_its_making_to_its_end(served: Served, tmp_path: Path) -> None:
    with served.client() as admin:
        secret = admin.keys.create("alice", ["jobs:read", "jobs:write", "library:write"]).secret
        other = admin.keys.create("bob", ["jobs:read", "jobs:write", "library:write"]).secret
    with Client(served.url, secret) as alice, Client(served.url, other) as bob:
        library = alice.libraries.create("tides")
        job = alice.libraries.ingest(library, TIDES / "pictures").wait(120)
        assert job.state == "succeeded", served.logs()
        library = alice.libraries.get(library)
        assert library.picture_count == 17
        assert library.encoder is not None
        assert library.encoder.startswith("all-MiniLM-L6-v2@")

        found = alice.libraries.search(library, "the estuary at low water", k=3)
        assert "estuary" in found[0].picture.caption
        like = alice.libraries.search(library, picture=TIDES / "pictures" / "estuary.jpg", k=3)
        assert (like[0].picture.id, like[0].score) == (found[0].picture.id, 1.0)
        file = alice.libraries.download(library, like[0].picture, tmp_path / "estuary.jpg")
        assert file.read_bytes()[:3] == b"\xff\xd8\xff"

        # A piece with pictures of that library, the files rendered with them.
        document = alice.compose(
            {
                "instruction": "How tides work, for people who live by the sea",
                "sources": [str(TIDES / "notes" / "03-the-shape-of-the-sea.md")],
                "libraries": ["tides"],
                "length_words": 200,
                "formats": ["html"],
            },
            timeout_s=200,
        )
        ids = {one.id for one in alice.libraries.each_picture(library)}
        shown = {figure.picture_id for figure in document.article.figures}
        assert shown
        assert shown <= ids
        # Whoever follows the job sees what the library had for each place before one was taken.
        told = {event.name: event.data for event in alice.jobs.get(document.job_id).events()}
        offered = [row["pictures"] for row in told["image.candidates"]["candidates"]]
        assert {picture["picture_id"] for row in offered for picture in row} <= ids
        assert shown <= {picture["picture_id"] for row in offered for picture in row}
        assert all(row == sorted(row, key=lambda picture: -picture["score"]) for row in offered)
        assert b"data:image/" in alice.artifacts.read(document.artifact("html"))

        for ask in (
            lambda: bob.libraries.get(library),
            lambda: bob.libraries.search(library, "tide"),
            lambda: bob.libraries.read(library, found[0].picture),
            lambda: bob.libraries.ingest(library, TIDES / "pictures" / "estuary.jpg"),
        ):
            with pytest.raises(ObjectUnknown):
                ask()
        assert bob.libraries.list().data == ()
        assert alice.libraries.get(library) == library

        alice.libraries.remove(library, found[0].picture)
        assert alice.libraries.get(library).picture_count == 16
        alice.libraries.delete(library)
        folder = served.data / "libraries"
        wait_for(lambda: not list(folder.rglob("pictures/*/*")), served.logs)


@pytest.mark.slow
def test_a_library_worker_that_is_killed_comes_back_and_goes_on(served: Served) -> None:
    with served.client() as client:
        library = client.libraries.create("killed")
        job = client.libraries.ingest(library, TIDES / "pictures")
        wait_for(lambda: job.refresh().state in ("running", "succeeded"), served.logs)
        pid = served.part("library")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert job.wait(120).state == "succeeded", served.logs()
        assert client.libraries.get(library).picture_count == 17
        assert "estuary" in client.libraries.search(library, "the estuary at low water", k=1)[0].picture.caption
