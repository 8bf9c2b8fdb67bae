"""Editing: two people who edit the same piece; nobody's work is overwritten, none of it is done twice."""

from __future__ import annotations

import itertools
import random
import threading

from interleaf import Client
from interleaf.errors import EditRefused, InterleafError, NothingToSay, VersionStale
from interleaf.schema import Paragraph
from interleaf.service.service_records import Document
from tests.chaos.hand import Hand
from tests.chaos.orders import order
from tests.chaos.service import ChaosService
from tests.chaos.verdict import Verdict

__all__ = ["Editing"]

PEOPLE = 2
TYPED = "Typed "
_TRIES = 20


class Editing(Hand):
    """Each of them types so many paragraphs, and has now and then one written by the writer, or takes one's own last
    step back."""

    def __init__(self, service: ChaosService, edits: int) -> None:
        super().__init__(service, "edits", wants=0)
        self._edits = edits
        self._document_id = ""
        self._made: dict[int, str] = {1: ""}
        """By version the paragraph that it typed; empty for every other step."""
        self._twice: list[str] = []
        self._lock = threading.Lock()
        self._stale = self._undone = self._written = 0
        self._wrong: list[str] = []

    def start(self) -> None:
        """Waits for the piece that is to be edited."""
        with self.service.client() as client:
            job = client.jobs.create(order("The edited piece"))
            self._document_id = job.wait(timeout_s=240).document().id
        self.job_ids.append(job.id)
        super().start()

    def work(self) -> None:
        for number in range(1, PEOPLE):
            self.also(lambda number=number: self._person(number), f"editor {number}")
        self._person(0)

    def look(self, client: Client) -> None:
        newest = client.documents.rendered(self._document_id, timeout_s=120)
        self._wrong += [f"version {n} is nobody's" for n in range(1, newest.version + 1) if n not in self._made]
        self._wrong += [f"version {n} is lost" for n in self._made if n > newest.version]
        versions = [client.documents.version(newest.id, number) for number in range(1, newest.version + 1)]
        for before, after in itertools.pairwise(versions):
            typed = self._made.get(after.version)
            if typed:
                kept = [block for block in after.article.blocks if typed not in block.model_dump_json()]
                if kept != list(before.article.blocks) or len(kept) != len(after.article.blocks) - 1:
                    self._wrong.append(f"version {after.version} changed more than what was typed")
        page = client.artifacts.read(newest.artifact("html")).decode()
        for block in newest.article.blocks:
            if isinstance(block, Paragraph) and block.text.startswith(TYPED) and page.count(block.text) != 1:
                self._wrong.append(f"the page shows {block.text!r} {page.count(block.text)} times")

    def tell(self, verdict: Verdict) -> None:
        verdict.tell("versions of the edited piece", len(self._made))
        verdict.tell("of them by the writer, undone", f"{self._written}, {self._undone}")
        verdict.tell("edits refused: the other was quicker, nothing to say", self._stale)
        typed = sum(bool(text) for text in self._made.values())
        verdict.equal("paragraphs typed", typed, PEOPLE * self._edits)
        verdict.none("steps told as one version", self._twice)
        verdict.none("versions not as they must be", self._wrong)

    def _person(self, number: int) -> None:
        chance = random.Random(number)
        with self.service.client() as client:
            document = client.documents.get(self._document_id)
            for step in range(self._edits):
                text = f"{TYPED}by {number}, step {step}."
                document = self._until_taken(client, document, text)
                self._keep(document, text)
                if step % 5 == 2:
                    document = self._take_back(client, document)
                if step % 4 == 1:
                    document = self._have_written(client, document, chance)
            for _ in range(_TRIES):  # the others may have ended by then
                if self._written:
                    break
                document = self._have_written(client, document, chance)

    def _until_taken(self, client: Client, document: Document, text: str) -> Document:
        while True:
            place = {"after": document.article.blocks[-1].id}
            try:
                return client.documents.edit(document, {"op": "insert", "place": place, "text": text})
            except VersionStale:
                self._stale += 1
                document = client.documents.get(document.id)

    def _take_back(self, client: Client, document: Document) -> Document:
        try:
            document = client.documents.undo(document)
        except VersionStale:  # the other has gone on: then it stays
            self._stale += 1
            return client.documents.get(document.id)
        self._undone += 1
        self._keep(document, "")
        return document

    def _have_written(self, client: Client, document: Document, chance: random.Random) -> Document:
        paragraphs = [
            block
            for block in document.article.blocks
            if isinstance(block, Paragraph) and not block.text.startswith(TYPED)
        ]
        wanted = {"op": chance.choice(["shorten", "expand"]), "block_id": chance.choice(paragraphs).id}
        try:
            document = client.documents.edit(document, wanted, timeout_s=240)
        except (VersionStale, NothingToSay, EditRefused):  # nothing to take away, or nothing left to add
            self._stale += 1
            return client.documents.get(document.id)
        except InterleafError as error:
            if error.code != "worker_lost":
                raise
            return client.documents.get(document.id)
        self._written += 1
        self._keep(document, "")
        return document

    def _keep(self, document: Document, text: str) -> None:
        with self._lock:
            if document.version in self._made:
                self._twice.append(f"version {document.version}: {self._made[document.version]!r}, {text!r}")
            self._made[document.version] = text
