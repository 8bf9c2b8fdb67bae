"""Fakes with the real contracts: a writer that needs no notes, an encoder that hashes, a library in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.context import Choice, ChooseTask, DraftTask, Finding, OutlineTask, Place, RunnerUp, SpotTask, Vectors
from interleaf.errors import InvalidBrief, PictureMissing
from interleaf.schema import (
    Brief,
    Heading,
    Outline,
    OutlineSection,
    Paragraph,
    Picture,
    PictureFilter,
    PictureHit,
    PictureQuery,
    Provenance,
    SourceSpan,
    Support,
    TextBlock,
)
from interleaf.text import count_words, terms


class HashingEmbedder:
    """Unit vectors from hashed terms: texts that share words are near. Counts what it is asked."""

    name = "hashing"
    sha256 = ""
    dimension = 64

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(tuple(texts))
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for i, text in enumerate(texts):
            for term in terms(text):
                digest = hashlib.sha256(term.encode()).digest()
                rows[i, digest[0] % self.dimension] += 1.0 if digest[1] % 2 else -1.0
            norm = float(np.linalg.norm(rows[i]))
            if norm:
                rows[i] /= norm
        return rows


def make_picture(name: str, caption: str = "", **fields: object) -> Picture:
    """A picture value with an id made from its name."""
    values: dict[str, object] = {
        "id": hashlib.sha256(name.encode()).hexdigest(),
        "media_type": "image/png",
        "width_px": 640,
        "height_px": 480,
        "size_bytes": 1000,
        "name": name,
        "caption": caption,
        "caption_origin": "sidecar" if caption else "none",
    }
    return Picture.model_validate({**values, **fields})


class MemoryFinder:
    """A picture library in memory: ranks by shared terms, filters before ranking."""

    def __init__(self, pictures: Sequence[Picture] = ()) -> None:
        self.pictures = {picture.id: picture for picture in pictures}

    def search(self, queries: Sequence[PictureQuery], k: int, where: PictureFilter) -> list[list[PictureHit]]:
        allowed = [
            p
            for p in self.pictures.values()
            if (where.collections is None or p.collection in where.collections)
            and where.licence_policy.permits(p.licence)
            and p.id not in where.exclude_ids
        ]
        found = []
        for query in queries:
            asked = set(terms(" ".join((query.text, query.before, query.after, query.heading, query.title))))
            hits = [
                PictureHit(picture=p, score=len(asked & set(terms(p.words))) / max(1, len(set(terms(p.words)))))
                for p in allowed
            ]
            found.append(sorted(hits, key=lambda hit: (-hit.score, hit.picture.id))[:k])
        return found

    def picture(self, picture_id: str) -> Picture:
        try:
            return self.pictures[picture_id]
        except KeyError:
            raise PictureMissing(picture_id, "is not here.") from None

    def pixels_path(self, picture_id: str) -> Path:
        raise PictureMissing(picture_id, "this finder keeps no pixels.")

    def fingerprints(self) -> dict[str, str]:
        return {p.collection: "fixed" for p in self.pictures.values()}


class ParrotWriter:
    """A Writer that repeats its sources: one section for each source, one paragraph for each of its paragraphs."""

    name = "parrot"
    version = "1"

    def outline(self, task: OutlineTask) -> Outline:
        if task.brief.outline is not None:
            return task.brief.outline
        if not task.sources:
            raise InvalidBrief("sources", "the parrot has nothing to repeat.", "Give sources.")
        sections = tuple(
            OutlineSection(
                heading=source.name,
                length_words=count_words(source.text) or 1,
                material=(SourceSpan(source_id=source.id, start=0, end=len(source.text)),),
            )
            for source in task.sources
        )
        return Outline(title=task.brief.title or task.sources[0].name, sections=sections)

    def draft(self, task: DraftTask) -> tuple[TextBlock, ...]:
        section = task.outline.sections[task.section_index]
        texts = {source.id: source.text for source in task.sources}
        blocks: list[TextBlock] = []
        if section.heading:
            blocks.append(
                Heading(
                    id=f"b-{task.section_index}h",
                    level=section.level,
                    text=section.heading,
                    provenance=Provenance(origin="workflow"),
                )
            )
        for span in section.material:
            at = span.start
            for piece in texts[span.source_id][span.start : span.end].split("\n\n"):
                if piece.strip():
                    support = Support(
                        start=0,
                        end=len(piece),
                        spans=(SourceSpan(source_id=span.source_id, start=at, end=at + len(piece)),),
                    )
                    blocks.append(
                        Paragraph(
                            id=f"b-{task.section_index}p{len(blocks)}",
                            text=piece,
                            provenance=Provenance(origin="source", supports=(support,)),
                        )
                    )
                at += len(piece) + 2
        return tuple(blocks)

    def spot(self, task: SpotTask) -> tuple[Place, ...]:
        return tuple(Place(slot, 0.5) for slot in range(1, len(task.blocks) + 1))

    def caption(self, task: SpotTask, places: Sequence[Place]) -> tuple[PictureQuery, ...]:
        return tuple(
            PictureQuery(before=task.blocks[place.slot - 1].text if place.slot else "", title=task.title)
            for place in places
        )

    def choose(self, task: ChooseTask) -> tuple[Choice, ...]:
        free = [c.picture for c in task.candidates]
        chosen = []
        for place in task.places:
            if not free or (task.pictures_wanted is not None and len(chosen) >= task.pictures_wanted):
                break
            said = set(terms(task.blocks[place.slot - 1].text)) if place.slot else set()
            scored = sorted(((len(said & set(terms(p.words))), p.id) for p in free), key=lambda s: (-s[0], s[1]))
            if scored[0][0] == 0:
                continue
            rest = tuple(RunnerUp(picture_id, 0.1) for _, picture_id in scored[1:3])
            chosen.append(Choice(place.slot, scored[0][1], 0.9, f"They share {scored[0][0]} words.", rest))
            free = [p for p in free if p.id != scored[0][1]]
        return tuple(chosen)

    def review(self, brief: Brief, title: str, blocks: Sequence[TextBlock]) -> tuple[Finding, ...]:
        return tuple(
            Finding("paragraph_empty", "a paragraph without words", block.id, "drop")
            for block in blocks
            if block.type == "paragraph" and not block.text.strip()
        )
