"""PictureLibrary: the library as others use it: add, list, search, remove, verify.

One process writes at a time (LibraryBusy for the second); any number read meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from filelock import FileLock, Timeout

from interleaf.errors import InvalidBrief, LibraryBusy, LibraryDamaged, PictureMissing, PictureUnreadable, Unsupported
from interleaf.schema import Picture, PictureFilter, PictureHit, PictureQuery
from interleaf.text import clean_line
from retrieval.catalog import Catalog
from retrieval.likeness import nearest_looks
from retrieval.pictures.decode import decode, open_stored
from retrieval.pictures.ingest import Dedupe, Ingest, IngestProgress, IngestReport
from retrieval.pictures.metadata import PictureMetadata, from_mapping
from retrieval.pictures.offers import Offers, offered, offered_described
from retrieval.pictures.store import PixelStore, unwritable
from retrieval.verify import VerifyProgress, VerifyReport, verify

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.search import Searcher
    from retrieval.vectors.derived import PictureEncoder, TextEncoder

__all__ = ["IngestProgress", "IngestReport", "PictureLibrary", "PictureMetadata", "VerifyReport"]

Pictures = list[Picture]
Found = list[PictureHit]
Hits = list[Found]

MAX_COLLECTION_CHARS: Final = 100
EVERYTHING: Final = PictureFilter()
REMOVED_AT_ONCE: Final = 500


class PictureLibrary:
    """A folder with pixel files, a catalog and the indexes derived from it. Satisfies agents.context.PictureFinder."""

    def __init__(
        self, root: Path, embedder: TextEncoder | None, pixel_embedder: PictureEncoder | None, create: bool = True
    ) -> None:
        self.root = root
        try:
            if create:
                root.mkdir(parents=True, exist_ok=True)
            self._catalog = Catalog(root, create)
        except OSError as error:
            raise unwritable(root, error) from error
        self._store = PixelStore(root / "pictures")
        self._embedder, self._pixel_embedder = embedder, pixel_embedder
        self._searcher: Searcher | None = None

    @classmethod
    def open(
        cls,
        root: Path,
        embedder: TextEncoder | None = None,
        pixel_embedder: PictureEncoder | None = None,
        create: bool = True,
    ) -> Self:
        """The library in `root`. Without an embedder everything works but search.

        RetrievalError when there is none and `create` is false; LibraryDamaged when the catalog is not readable;
        OutputUnwritable when the folder cannot be made."""
        return cls(root, embedder, pixel_embedder, create)

    # Changing

    def add(
        self,
        paths: Sequence[Path],
        collection: str = "default",
        *,
        dedupe: Dedupe = "near",
        given: Mapping[str, Any] | PictureMetadata | None = None,
        names: Mapping[Path, str] | None = None,
        on_progress: Callable[[IngestProgress], None] | None = None,
    ) -> IngestReport:
        """Take in the pictures of folders, ZIP archives and single files; what cannot be read is refused by name.

        `given` is said of every one of them and goes before sidecars and embedded metadata. `names`: what a person
        calls some of the files, where they lie under names of ours. Called again after a
        crash, it continues. LibraryBusy when another process is adding; OutputUnwritable when the disk is full."""
        collection = _collection(collection)
        with self._writing():
            offers = offered(paths, names)
            if given is not None:
                above = given if isinstance(given, PictureMetadata) else from_mapping(given, "given")
                offers.offers = [replace(o, beside=above.over(o.beside).cleaned()) for o in offers.offers]
            return self._ingest(offers, collection, dedupe, on_progress)

    def add_described(
        self,
        items: Iterable[tuple[Path, PictureMetadata]],
        collection: str = "default",
        dedupe: Dedupe = "near",
        on_progress: Callable[[IngestProgress], None] | None = None,
    ) -> IngestReport:
        """Take in single picture files with the words that the caller brings; sidecars are not read."""
        collection = _collection(collection)
        with self._writing():
            return self._ingest(offered_described(items), collection, dedupe, on_progress)

    def remove_collection(self, collection: str, on_progress: Callable[[int], None] | None = None) -> int:
        """Take every picture out of a collection; how many. Those of no other collection are gone from the library.

        `on_progress(done)` is called after each part; what it raises stops the work, which may be begun again."""
        done = 0
        with self._writing():
            where = PictureFilter(collections=(collection,))
            while pictures := self._catalog.pictures(where, REMOVED_AT_ONCE):
                for picture_id, media_type in self._catalog.remove([p.id for p in pictures], collection):
                    self._store.remove(picture_id, media_type)
                done += len(pictures)
                if on_progress is not None:
                    on_progress(done)
        return done

    def remove(self, ids: Sequence[str], collection: str | None = None) -> tuple[str, ...]:
        """Take pictures out of one collection, or of all; the ids of those that are gone from the library.

        PictureMissing, and nothing removed, when one of the ids is unknown."""
        with self._writing():
            gone = self._catalog.remove(ids, collection)
            for picture_id, media_type in gone:
                self._store.remove(picture_id, media_type)
        return tuple(picture_id for picture_id, _ in gone)

    def verify(self, repair: bool = False, on_progress: Callable[[VerifyProgress], None] | None = None) -> VerifyReport:
        """Hold catalog, pixel files and indexes against one another. `repair` removes pictures whose file is lost or
        damaged, files that no picture has, and damaged indexes, which are built again; it never invents anything."""
        with self._writing():
            return verify(self._catalog, self._store, self.root / "index", repair, on_progress)

    # Asking

    def list(self, where: PictureFilter = EVERYTHING, limit: int = 100, after: str | None = None) -> Pictures:
        """At most `limit` pictures in the order they came, after the one with the id `after`."""
        return self._catalog.pictures(where, limit, after or "")

    def count(self, where: PictureFilter = EVERYTHING) -> int:
        """How many pictures the filter lets through."""
        return self._catalog.count(where)

    def collections(self) -> dict[str, int]:
        """Collection → how many pictures it has."""
        return self._catalog.collections()

    def collections_of(self, picture_id: str) -> tuple[str, ...]:
        """The collections that hold a picture."""
        return self._catalog.collections_of(picture_id)

    def picture(self, picture_id: str) -> Picture:
        """The picture with that id. PictureMissing when there is none."""
        return self._catalog.picture(picture_id)

    def ids_beginning(self, prefix: str, limit: int = 10) -> tuple[str, ...]:
        """Sorted ids that begin with `prefix`."""
        return tuple(self._catalog.ids_beginning(prefix, limit))

    @property
    def searches_pixels(self) -> bool:
        """Whether pictures can be found by another picture: a picture encoder is configured."""
        return self._pixel_embedder is not None

    def id_of_file(self, path: Path) -> str:
        """The id under which the library has the pixels of a file. PictureMissing when it has not."""
        offers = offered([path])
        if len(offers.offers) != 1:
            reason = offers.refused[0].reason if offers.refused else "it is not one picture."
            raise PictureUnreadable(str(path), reason, "Name one picture file, or a picture's id.")
        return self._catalog.picture(decode(offers.offers[0].read(), path.name).id).id

    def pixels_path(self, picture_id: str) -> Path:
        """The file with a picture's pixels, safe to open. PictureMissing when there is none."""
        picture = self._catalog.picture(picture_id)
        path = self._store.path(picture_id, picture.media_type)
        if not path.is_file():
            raise PictureMissing(
                picture_id,
                f"its file {path.name} is lost.",
                "Run: interleaf library verify --repair, and add it again.",
            )
        return path

    def search(self, queries: Sequence[PictureQuery], k: int, where: PictureFilter = EVERYTHING) -> Hits:
        """At most k allowed hits per query, best first. Unsupported when the library was opened without an encoder."""
        return self._opened_searcher().search(queries, k, where)

    def search_like(self, data: bytes, name: str, k: int, where: PictureFilter) -> Found:
        """The k pictures most like a picture file's bytes, best first. PictureUnreadable, by `name`.

        One that the filter lets through with the same pixels comes first, with score 1, then what is like it in words
        and pixels. A picture that is not in the library is compared by the pixel encoder, or, where there is none, by
        its colours and their layout."""
        picture = decode(data, name)
        same = self._catalog.pictures(where.model_copy(update={"only_ids": (picture.id,)}), 1)
        if same and k:
            others = self.search([PictureQuery(picture_id=picture.id)], k - 1, where)[0] if k > 1 else []
            return [PictureHit(picture=same[0], score=1.0), *others]
        if self.searches_pixels:
            return self._opened_searcher().search_pixels(picture.image, k, where)
        return nearest_looks(self._catalog, picture.image, k, where)

    def refresh(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Encode what has no vectors yet and bring the indexes up to the catalog; search does it by itself.

        `on_progress(done, total)` counts encoded pictures. Unsupported without an encoder."""
        self._opened_searcher().refresh(on_progress)

    def fingerprints(self) -> dict[str, str]:
        """Collection → hash over its pictures' ids and words, for the run record."""
        return self._catalog.fingerprints()

    def close(self) -> None:
        """Let go of the files."""
        if self._searcher is not None:
            self._searcher.close()
            self._searcher = None
        self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Inside

    def _ingest(
        self,
        offers: Offers,
        collection: str,
        dedupe: Dedupe,
        on_progress: Callable[[IngestProgress], None] | None,
    ) -> IngestReport:
        self._store.clear_aside()
        return Ingest(self._catalog, self._store, collection, dedupe, on_progress).run(offers)

    def _opened_searcher(self) -> Searcher:
        if self._embedder is None:
            raise Unsupported(
                "search", "this library was opened without a text encoder.", "Open it with an embedder to search."
            )
        if self._searcher is None:
            from retrieval.search import Searcher

            self._searcher = Searcher(
                self._catalog, self.root / "index", self._embedder, self._pixel_embedder, self._opened_picture
            )
        return self._searcher

    def _opened_picture(self, picture: Picture) -> Image:
        """A picture's decoded pixels. LibraryDamaged when its file is lost."""
        path = self._store.path(picture.id, picture.media_type)
        try:
            return open_stored(path.read_bytes(), picture.media_type, path.name)
        except OSError as error:
            raise LibraryDamaged(
                picture.id, f"its file {path.name} cannot be read.", "Run: interleaf library verify --repair"
            ) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """The library's write lock. LibraryBusy when another process (or thread) has it."""
        lock = FileLock(self.root / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise LibraryBusy(
                str(self.root), "another process is changing this library.", "Try again when it is done."
            ) from error
        except OSError as error:
            raise unwritable(self.root, error) from error
        try:
            yield
        finally:
            lock.release()


def _collection(name: str) -> str:
    """A collection's name, cleaned. InvalidBrief when it is empty or too long."""
    cleaned = clean_line(name)
    if not cleaned or len(cleaned) > MAX_COLLECTION_CHARS:
        raise InvalidBrief(
            "collection", f"{name[:80]!r} is no name for a collection.", f"Use 1 to {MAX_COLLECTION_CHARS} characters."
        )
    return cleaned
