"""Intake: a brief's notes and pictures become Material, kept in the run folder so that a resumed run sees the same.

Pictures that a Markdown note shows join the candidates with their captions and their anchor. Only
pictures inside the note's own folder are read; addresses and paths that lead out of it never are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import TypeAdapter

from agents.context import Candidate
from agents.notes.document import read_document
from interleaf.errors import InvalidBrief, LicenceUnmet, NothingToSay, PictureUnreadable
from interleaf.schema import Brief, GivenPicture, Notice, Picture, SourceSpan, SourceText
from interleaf.schema.word import Word
from interleaf.whole_file import write_whole
from retrieval.library import IngestProgress, IngestReport, PictureLibrary
from retrieval.pictures.look import look_of_file
from workers.run.run_folder import RunFolder
from workers.run.source_file import ReadSource, read_sources

__all__ = ["Material", "read_material", "take_in"]

# (share done 0..1, what is being read)
OnProgress = Callable[[float, str], None]
GIVEN_COLLECTION = "given"
MAX_TOLD = 20
# Looking at a picture costs some milliseconds; among thousands, words decide who is a candidate at all.
MAX_LOOKED_AT = 1_000


class MaterialPicture(Word):
    picture: Picture
    origin: Literal["given", "document"]
    anchor: SourceSpan | None = None
    look: tuple[float, ...] = ()


class StoredMaterial(Word):
    """What `material.json` holds."""

    sources: tuple[SourceText, ...]
    pictures: tuple[MaterialPicture, ...]
    notices: tuple[Notice, ...]


@dataclass(frozen=True)
class Material:
    """What a run rests on: the sources as read, the candidate pictures, and what should be told."""

    sources: tuple[SourceText, ...]
    candidates: tuple[Candidate, ...]
    notices: tuple[Notice, ...]


def read_material(folder: RunFolder) -> Material | None:
    """The material that an earlier `take_in` of this run kept; None when it did not get that far."""
    if not folder.material_path.is_file():
        return None
    stored = TypeAdapter(StoredMaterial).validate_json(folder.material_path.read_bytes())
    return Material(stored.sources, tuple(_candidate(p) for p in stored.pictures), stored.notices)


def take_in(
    brief: Brief,
    base: Path,
    folder: RunFolder,
    *,
    max_source_bytes: int,
    max_pictures: int,
    on_progress: OnProgress | None = None,
) -> Material:
    """Read everything that the brief names. `base` is where its relative paths start."""
    tell = on_progress or (lambda share, what: None)
    tell(0.0, "notes")
    read, notices = read_sources(brief.sources, base, max_source_bytes)
    if brief.sources and not any(r.text.text.strip() for r in read):
        raise NothingToSay("sources", "the notes hold no text.", "Give notes with text in Markdown or plain text.")
    tell(0.2, "pictures")
    pictures, picture_notices = _take_pictures(brief, base, folder, read, max_pictures, tell)
    material = StoredMaterial(
        sources=tuple(r.text for r in read),
        pictures=pictures,
        notices=(*notices, *picture_notices),
    )
    write_whole(folder.material_path, material.model_dump_json().encode())
    tell(1.0, "")
    return Material(material.sources, tuple(_candidate(p) for p in material.pictures), material.notices)


def _candidate(kept: MaterialPicture) -> Candidate:
    return Candidate(picture=kept.picture, origin=kept.origin, anchor=kept.anchor, look=kept.look)


def _take_pictures(
    brief: Brief,
    base: Path,
    folder: RunFolder,
    read: tuple[ReadSource, ...],
    max_pictures: int,
    tell: OnProgress,
) -> tuple[tuple[MaterialPicture, ...], tuple[Notice, ...]]:
    shown = _shown_pictures(read)
    if not brief.pictures and not shown:
        return (), ()
    notices: list[Notice] = []
    kept: dict[str, MaterialPicture] = {}
    with PictureLibrary.open(folder.library_dir) as library:
        for i, given in enumerate(brief.pictures):
            path = base / Path(given.path).expanduser()
            if not path.exists():
                raise InvalidBrief(
                    f"pictures[{i}].path", f"{given.path} does not exist.", "It starts from the brief's own folder."
                )
            start = 0.2 + 0.7 * i / len(brief.pictures)
            width = 0.7 / len(brief.pictures)

            def show(progress: IngestProgress, start: float = start, width: float = width) -> None:
                tell(start + width * min(1.0, progress.done / max(1, progress.total)), progress.name)

            # A folder has no name of its own there: its files have. A label, never a path.
            called = PurePosixPath(given.name.replace("\\", "/")).name
            names = {path: called} if called and path.is_file() else None
            report = library.add([path], GIVEN_COLLECTION, given=_given_metadata(given), names=names, on_progress=show)
            if path.is_file() and path.suffix.lower() != ".zip" and report.refused:
                # A file that a person named is not passed over in silence.
                raise PictureUnreadable(report.refused[0].name, report.refused[0].reason, "Or leave it out.")
            notices += _told(report)
        for picture in library.list(limit=max_pictures + 1):
            kept[picture.id] = MaterialPicture(picture=picture, origin="given")
        if len(kept) > max_pictures:
            raise InvalidBrief(
                "pictures",
                f"hold more than {max_pictures} pictures.",
                "Add them to a library (interleaf library add) and name its collection.",
            )
        for one in shown:
            if (seen := _take_shown(library, one, notices)) is not None:
                known = kept.get(seen.id)
                if known is not None and known.picture.caption_origin not in ("none", "file_name"):
                    seen = known.picture
                kept[seen.id] = MaterialPicture(picture=seen, origin="document", anchor=one.anchor)
        permitted = {k: v for k, v in kept.items() if brief.licence_policy.permits(v.picture.licence)}
        if len(permitted) <= MAX_LOOKED_AT:
            permitted = {
                k: v.model_copy(update={"look": look_of_file(library.pixels_path(k))}) for k, v in permitted.items()
            }
    if kept and not permitted and not brief.libraries and brief.pictures_wanted != 0:
        raise LicenceUnmet(
            "licence_policy",
            f"none of the {len(kept)} pictures has a licence that it allows.",
            "Loosen the policy, or state the pictures' licences in a manifest.csv beside them.",
        )
    if len(permitted) < len(kept):
        notices.append(
            Notice(
                code="licence_refused", message=f"{len(kept) - len(permitted)} pictures left out by the licence policy"
            )
        )
    return tuple(permitted.values()), tuple(notices)


def _told(report: IngestReport) -> list[Notice]:
    """What should be told of an ingest, at most MAX_TOLD notices of each kind."""
    kinds = (
        ("picture_refused", [f"{r.name}: {r.reason}" for r in report.refused]),
        ("picture_repeated", [f"{d.name} shows what another picture shows" for d in report.duplicates]),
        ("picture_note", [f"{n.name}: {n.message}" for n in report.notes]),
    )
    told: list[Notice] = []
    for code, messages in kinds:
        told += [Notice(code=code, message=message[:2000]) for message in messages[:MAX_TOLD]]
        if len(messages) > MAX_TOLD:
            told.append(Notice(code=code, message=f"and {len(messages) - MAX_TOLD} more like this"))
    return told


def _given_metadata(given: GivenPicture) -> Mapping[str, Any]:
    return {k: v for k, v in given.model_dump(exclude={"path", "name"}).items() if v is not None}


@dataclass(frozen=True)
class _Shown:
    path: Path
    note: str
    caption: str
    alt: str
    anchor: SourceSpan


def _shown_pictures(read: tuple[ReadSource, ...]) -> list[_Shown]:
    """Local pictures that Markdown notes show, with what the notes say of them."""
    found: list[_Shown] = []
    for source in read:
        if source.folder is None or source.text.media_type != "text/markdown":
            continue
        root = source.folder.resolve()
        for image in read_document(source.text).images:
            written = unquote(image.path.split("#")[0].split("?")[0])
            if not written or "://" in written or written.startswith(("data:", "/", "\\", "~")) or "\x00" in written:
                continue
            path = (root / written).resolve()
            # A note may show what lies beside or below it, nothing else of this machine.
            if path.is_relative_to(root) and path.is_file():
                found.append(_Shown(path, source.text.name, image.caption, image.alt, image.span))
    return found


def _take_shown(library: PictureLibrary, shown: _Shown, notices: list[Notice]) -> Picture | None:
    caption = shown.caption or shown.alt
    given = {k: v for k, v in (("caption", caption), ("alt", shown.alt)) if v}
    report = library.add([shown.path], GIVEN_COLLECTION, dedupe="exact", given=given)
    notices += _told(report)
    if not report.picture_ids:
        return None
    picture = library.picture(next(iter(report.picture_ids.values())))
    if caption and (picture.caption_origin in ("none", "file_name") or picture.caption == caption):
        picture = picture.model_copy(update={"caption": caption, "alt": shown.alt, "caption_origin": "document"})
    return picture
