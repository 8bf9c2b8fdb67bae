"""Ingest: offers become pictures of the library, in order, each kept wholly or not at all.

1 recognise files that were seen before, 2 read and decode in two threads, 3 decide what each picture
is (new, there already, a duplicate), 4 write pixel files aside and rename them, 5 in batches make the
names durable and then write the catalog. Killed at any point, the same call again continues: what the
catalog does not name yet is done again, onto the same file names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from PIL import Image

from interleaf.errors import InterleafError, PictureMissing, PictureUnreadable
from interleaf.schema import Picture
from retrieval.catalog import Catalog, PictureRow
from retrieval.pictures.decode import open_stored
from retrieval.pictures.duplicates import Look, NearDuplicates, comparable
from retrieval.pictures.offers import Note, Offer, Offers, Refusal
from retrieval.pictures.prepared import Prepared, described, prepare, words_of, words_sha256
from retrieval.pictures.seen import Outcome, Seen, SeenFile
from retrieval.pictures.store import PixelStore

__all__ = ["Dedupe", "Duplicate", "Ingest", "IngestProgress", "IngestReport"]

THREADS: Final = 2
WAITING: Final = 4  # decoded or being decoded; bounds the memory
BATCH_PICTURES: Final = 64
BATCH_BYTES: Final = 128 * 1024 * 1024

Dedupe = Literal["exact", "near"]
_RANK: Final = {"none": 0, "file_name": 1, "embedded": 2, "document": 3, "sidecar": 4, "given": 5}


class Duplicate(NamedTuple):
    """A file that was not kept because it shows the same as the picture `of`: the same pixels, or nearly."""

    name: str
    of: str
    kind: Literal["exact", "near"]


@dataclass(frozen=True)
class IngestProgress:
    """How far an ingest is: `done` of `total` offers; `name` is the last one."""

    done: int
    total: int
    added: int
    already_there: int
    duplicates: int
    refused: int
    name: str


@dataclass(frozen=True)
class IngestReport:
    """What became of everything that was offered.

    `added`, `already_there` and `described` (their words were replaced) are picture ids; `picture_ids` maps the
    name of each taken file to the picture that stands for it.
    """

    collection: str
    added: tuple[str, ...] = ()
    already_there: tuple[str, ...] = ()
    described: tuple[str, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    refused: tuple[Refusal, ...] = ()
    notes: tuple[Note, ...] = ()
    ignored_files: int = 0
    picture_ids: dict[str, str] = field(default_factory=dict)


class Ingest:
    """One call's work on one collection. The caller holds the library's write lock."""

    def __init__(
        self,
        catalog: Catalog,
        store: PixelStore,
        collection: str,
        dedupe: Dedupe,
        on_progress: Callable[[IngestProgress], None] | None = None,
    ) -> None:
        self._catalog, self._store, self._seen = catalog, store, Seen(catalog.database)
        self._collection, self._dedupe, self._tell = collection, dedupe, on_progress
        self._near = NearDuplicates(*catalog.hashes(collection)) if dedupe == "near" else None
        self._shown = lru_cache(maxsize=64)(self._open_shown)
        # The batch: new pictures by id, and everything else to be written, in order.
        self._new: dict[str, PictureRow] = {}
        self._writes: list[Callable[[], object]] = []
        self._batch_bytes = 0
        self._added: dict[str, None] = {}
        self._there: dict[str, None] = {}
        self._described: dict[str, None] = {}
        self._duplicates: list[Duplicate] = []
        self._refused: list[Refusal] = []
        self._notes: list[Note] = []
        self._ids: dict[str, str] = {}

    def run(self, offers: Offers) -> IngestReport:
        """Take in everything that is offered. OutputUnwritable when the disk is full; what came before is kept."""
        self._refused += offers.refused
        self._notes += offers.notes
        done = 0
        try:
            for offer, prepared in self._prepared(offers.offers):
                self._take(offer, prepared)
                done += 1
                if len(self._writes) >= BATCH_PICTURES or self._batch_bytes >= BATCH_BYTES:
                    self._flush()
                if self._tell is not None:
                    counts = (len(self._added), len(self._there), len(self._duplicates), len(self._refused))
                    self._tell(IngestProgress(done, len(offers.offers), *counts, offer.label))
        finally:
            self._flush()
        return IngestReport(
            self._collection,
            *(tuple(self._added), tuple(self._there), tuple(self._described), tuple(self._duplicates)),
            *(tuple(self._refused), tuple(self._notes), offers.ignored_files, self._ids),
        )

    # 1 and 2: recognise, or read and decode

    def _prepared(self, offers: list[Offer]) -> Iterator[tuple[Offer, SeenFile | Prepared | PictureUnreadable]]:
        """Each offer with what it turned out to be, in the order of the offers, few at a time."""
        waiting: deque[tuple[Offer, SeenFile | Future[Prepared | PictureUnreadable]]] = deque()
        with ThreadPoolExecutor(THREADS, thread_name_prefix="decode") as pool:
            try:
                for offer in offers:
                    known = self._known(offer)
                    waiting.append((offer, known or pool.submit(prepare, offer, self._collection)))
                    while waiting and (isinstance(waiting[0][1], SeenFile) or len(waiting) >= WAITING):
                        yield self._settled(*waiting.popleft())
                while waiting:
                    yield self._settled(*waiting.popleft())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    @staticmethod
    def _settled(
        offer: Offer, found: SeenFile | Future[Prepared | PictureUnreadable]
    ) -> tuple[Offer, SeenFile | Prepared | PictureUnreadable]:
        return offer, found if isinstance(found, SeenFile) else found.result()

    def _known(self, offer: Offer) -> SeenFile | None:
        """The earlier offer of the same file, when nothing has changed since."""
        earlier = self._seen.find(offer.place, self._collection)
        return earlier if earlier is not None and self._as_seen(offer).unchanged(earlier) else None

    def _as_seen(self, offer: Offer, outcome: Outcome = "kept", picture_id: str = "") -> SeenFile:
        return SeenFile(
            *(offer.place, self._collection, offer.size_bytes, offer.stamp),
            *(words_sha256(offer.beside), self._dedupe, outcome, picture_id),
        )

    # 3: decide

    def _take(self, offer: Offer, prepared: SeenFile | Prepared | PictureUnreadable) -> None:
        if isinstance(prepared, PictureUnreadable):
            self._refused.append(Refusal(offer.label, f"{prepared.problem} {prepared.remedy}"))
            return
        if isinstance(prepared, SeenFile):
            self._ids[offer.label] = prepared.picture_id
            if prepared.outcome == "near":
                self._duplicates.append(Duplicate(offer.label, prepared.picture_id, "near"))
            else:
                self._there[prepared.picture_id] = None
            return
        self._notes += [Note(offer.label, note) for note in prepared.notes]
        picture = prepared.row.picture
        known = self._picture(picture.id)
        if known is not None:
            self._take_exact(offer, prepared, known)
            return
        of = self._near_duplicate(prepared)
        if of is not None:
            self._ids[offer.label] = of
            self._duplicates.append(Duplicate(offer.label, of, "near"))
            self._redescribe(offer, picture, of, near=True)
            self._remember(offer, "near", of)
            return
        self._keep(prepared)
        self._ids[offer.label] = picture.id
        self._added[picture.id] = None
        self._remember(offer, "kept", picture.id)

    def _take_exact(self, offer: Offer, prepared: Prepared, known: Picture) -> None:
        """The same pixels are in the library: in this collection, or they join it now."""
        self._ids[offer.label] = known.id
        if known.id in self._added:
            self._duplicates.append(Duplicate(offer.label, known.id, "exact"))
        elif self._collection in self._catalog.collections_of(known.id):
            self._there[known.id] = None
        else:
            self._added[known.id] = None
            self._writes.append(lambda: self._catalog.join(known.id, self._collection))
            if self._near is not None:
                self._near.add(known.id, Look(known.perceptual_hash, prepared.row.look))
        if not self._store.path(known.id, known.media_type).is_file():  # lost by accident: here it is again
            self._store.write(known.id, prepared.row.picture.media_type, prepared.stored)
            self._writes.append(lambda: self._catalog.refile(prepared.row))
        self._redescribe(offer, prepared.row.picture, known.id, near=False)
        self._remember(offer, "kept", known.id)

    def _near_duplicate(self, prepared: Prepared) -> str | None:
        if self._near is None:
            return None
        look = Look(prepared.row.picture.perceptual_hash, prepared.row.look)
        return self._near.find(prepared.shown, look, self._tiny, self._shown)

    def _redescribe(self, offer: Offer, offered: Picture, picture_id: str, near: bool) -> None:
        """Take words from another file of the same picture where they are better than what is there.

        The same file with other words beside it: the person has edited them, so they win. Another file with
        the very pixels fills what is empty; a near duplicate speaks only for a picture without a real caption.
        """
        old = self._picture(picture_id)
        if old is None:
            return
        earlier = self._seen.find(offer.place, self._collection)
        edited = (
            earlier is not None
            and (earlier.outcome, earlier.picture_id) == ("kept", picture_id)
            and earlier.words_sha256 != words_sha256(offer.beside)
        )
        theirs, ours = words_of(offered), words_of(old)
        better = _RANK[offered.caption_origin] > _RANK[old.caption_origin]
        if near and not edited and not (better and _RANK[old.caption_origin] <= _RANK["file_name"]):
            return
        merged = theirs.over(ours) if edited or better else ours.over(theirs)
        picture = described(old, merged)
        if picture == old:
            return
        self._described[picture_id] = None
        if picture_id in self._new:
            self._new[picture_id] = replace(self._new[picture_id], picture=picture)
        else:
            self._flush()  # so that the catalog's picture and ours are one
            with self._catalog.writing():
                self._catalog.describe(picture)

    # 4 and 5: write

    def _keep(self, prepared: Prepared) -> None:
        picture = prepared.row.picture
        self._store.write(picture.id, picture.media_type, prepared.stored)
        self._batch_bytes += len(prepared.stored)
        self._new[picture.id] = prepared.row
        self._writes.append(lambda: self._catalog.add(self._new[picture.id], self._collection))
        if self._near is not None:
            self._near.add(picture.id, Look(picture.perceptual_hash, prepared.row.look))

    def _remember(self, offer: Offer, outcome: Outcome, picture_id: str) -> None:
        row = self._as_seen(offer, outcome, picture_id)
        self._writes.append(lambda: self._seen.keep(row))

    def _flush(self) -> None:
        """Write the batch into the catalog, after its files are on disk for certain.

        When that fails, the batch's new files are deleted: nothing half-written stays."""
        try:
            self._store.sync()
            if self._writes:
                with self._catalog.writing():
                    for write in self._writes:
                        write()
        except InterleafError:
            for picture_id, row in self._new.items():
                self._store.remove(picture_id, row.picture.media_type)
            raise
        finally:
            self._writes, self._new, self._batch_bytes = [], {}, 0

    # Pictures of the catalog, and of the batch that is not written yet

    def _picture(self, picture_id: str) -> Picture | None:
        if picture_id in self._new:
            return self._new[picture_id].picture
        try:
            return self._catalog.picture(picture_id)
        except PictureMissing:
            return None

    def _tiny(self, picture_id: str) -> bytes:
        return self._new[picture_id].look if picture_id in self._new else self._catalog.look(picture_id)

    def _open_shown(self, picture_id: str) -> Image.Image:
        """The `comparable` pixels of a picture of the library; a blank one when its file is lost."""
        picture = self._picture(picture_id)
        if picture is None:
            return Image.new("RGB", (16, 16))
        path = self._store.path(picture_id, picture.media_type)
        try:
            return comparable(open_stored(path.read_bytes(), picture.media_type, path.name))
        except (OSError, PictureUnreadable):
            return Image.new("RGB", (16, 16))
