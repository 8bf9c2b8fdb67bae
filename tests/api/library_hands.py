"""Library hands: does in this process what a library worker does when it is told, with an encoder that needs no
weights."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import httpx
from PIL import Image

from tests.api.service import Client, Service
from tests.fakes import HashingEmbedder
from workers.library import open_libraries
from workers.queue.celery_app import make_app
from workers.queue.dispatch import Dispatcher
from workers.queue.lease_keeper import LeaseKeeper
from workers.queue.library_work import LibraryWork
from workers.store.ids import is_id
from workers.store.job_store import JobStore

__all__ = ["LibraryHands", "drawn", "picture", "zipped"]


def drawn(seed: int, side: int = 96) -> Image.Image:
    """A picture unlike those of other seeds."""
    image = Image.new("RGB", (side, side), ((seed * 67) % 256, (seed * 31) % 256, (seed * 101) % 256))
    for i in range(14):
        x, y = (i * 37 + seed * 11) % side, (i * 53 + seed * 29) % side
        colour = ((i * 19 + seed * 83) % 256, (seed * 40 + i * 7) % 256, (i * 61) % 256)
        image.paste(colour, (x, y, min(side, x + 15), min(side, y + 10)))
    return image


def picture(seed: int, side: int = 96) -> bytes:
    """The same as a PNG file."""
    out = io.BytesIO()
    drawn(seed, side).save(out, "PNG")
    return out.getvalue()


def zipped(files: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A ZIP archive of these."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


class LibraryHands:
    """Takes the place of the queue and of the library worker of a service."""

    def __init__(self, service: Service, monkeypatch: Any) -> None:
        monkeypatch.setattr(open_libraries, "make_embedder", lambda settings: HashingEmbedder())
        self.service = service
        self.store = JobStore(service.settings)
        # Its messages would go to a broker that is not there; nothing here sends any.
        dispatcher = Dispatcher(make_app(service.settings), self.store)
        keeper = LeaseKeeper(self.store.leases, self.store.settings.lease_s)
        self.work = LibraryWork(self.store, keeper, dispatcher)
        self.idle = False
        """Messages are lost while this is set."""
        service.deliver = self.deliver  # type: ignore[method-assign]

    def deliver(self, named: str) -> None:
        if self.idle:
            return
        if is_id("lrq", named):
            self.work.answer(named)
        elif is_id("lib", named):
            self.work.sweep(named)
        else:
            self.work.ingest(named)

    def close(self) -> None:
        self.work.stop()
        self.store.close()

    # What a caller does

    def library(self, name: str = "harbour", client: Client | None = None) -> str:
        """Id of a new library."""
        answer = (client or self.service.client()).post("/v1/libraries", json={"name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def upload(self, content: bytes, name: str = "a.png", client: Client | None = None) -> str:
        """Id of a new upload."""
        answer = (client or self.service.client()).post("/v1/uploads", files={"file": (name, content)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def ingest(self, library: str, *uploads: str, client: Client | None = None, **said: Any) -> dict[str, Any]:
        """The ended job."""
        answer = (client or self.service.client()).post(
            f"/v1/libraries/{library}/ingests",
            json={"uploads": list(uploads), **said},
            headers={"Prefer": "wait=60"},
        )
        assert answer.status_code == 201, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def search(self, library: str, client: Client | None = None, **asked: Any) -> httpx.Response:
        return (client or self.service.client()).post(f"/v1/libraries/{library}/search", json=asked)
