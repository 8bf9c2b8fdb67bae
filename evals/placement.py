"""Placement: put the pictures back. The workflow's own spotting, captioning and choosing on tasks without answers.

Input, one article a line: `{id, lang, title, text: [{type, text, level?}], bag: [{image, caption?, alt?, width,
height}]}`. Output: `{id, place: {image: slot or null}}`, slot s = the picture stands after s text blocks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agents.context import Candidate, Choice, ChooseTask, Embedder, Place, SpotTask
from agents.placing.placement import caption_queries, choose_pictures, spot_places
from agents.placing.ranker import Ranker
from evals.articleset import picture_of, read_lines, text_blocks
from interleaf.errors import SourceUnreadable
from interleaf.schema import PictureQuery
from interleaf.whole_file import write_whole
from retrieval.pictures.decode import decode
from retrieval.pictures.look import look_of

__all__ = ["LeftOutWriter", "place", "read_looks", "run"]


def place(record: dict[str, Any], writer: Eye, looks: Mapping[str, tuple[float, ...]] | None = None) -> dict[str, Any]:
    """The prediction for one task: every picture of the bag with its slot, or None where it is left out.
    `looks`: image path → its look, see `read_looks`."""
    looks = looks or {}
    try:
        blocks = text_blocks(record["text"])
        pictures = {str(item["image"]): picture_of(item, "image") for item in record["bag"]}
        title, language, name = str(record["title"]), str(record["lang"]), str(record["id"])
    except (KeyError, TypeError, ValueError) as error:
        raise SourceUnreadable(
            str(record.get("id", "?")), f"is not a placement task ({error}).", "Make tasks with tasks.py make."
        ) from error
    spot = SpotTask(title=title, language=language, blocks=blocks, pictures_wanted=None)
    places = tuple(writer.spot(spot))
    writer.caption(spot, places)
    choices = writer.choose(
        ChooseTask(
            title=title,
            language=language,
            blocks=blocks,
            places=places,
            candidates=tuple(
                Candidate(picture=p, origin="given", look=looks.get(path, ())) for path, p in pictures.items()
            ),
            pictures_wanted=None,
        )
    )
    slots = {choice.picture_id: choice.slot for choice in choices}
    return {"id": name, "place": {path: slots.get(picture.id) for path, picture in pictures.items()}}


class LeftOutWriter:
    """The extractive writer's eye with a ranker of its own; it spots, captions and chooses, and writes nothing."""

    name = "extractive, left out"
    version = "1"

    def __init__(self, embedder: Embedder, ranker: Ranker) -> None:
        self._embedder, self._ranker = embedder, ranker

    def spot(self, task: SpotTask) -> tuple[Place, ...]:
        return spot_places(task, self._ranker)

    def caption(self, task: SpotTask, places: Sequence[Place]) -> tuple[PictureQuery, ...]:
        return caption_queries(task, places)

    def choose(self, task: ChooseTask) -> tuple[Choice, ...]:
        return choose_pictures(task, self._embedder, self._ranker)


class Eye(Protocol):
    """The part of a Writer that placement asks."""

    def spot(self, task: SpotTask) -> tuple[Place, ...]: ...

    def caption(self, task: SpotTask, places: Sequence[Place]) -> tuple[PictureQuery, ...]: ...

    def choose(self, task: ChooseTask) -> tuple[Choice, ...]: ...


def read_looks(images_dir: Path, paths: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """The look of each picture of the tasks, `paths` relative to `images_dir` or to the folder that holds it.
    SourceUnreadable names a path that is not there or leads outside, PictureUnreadable a damaged file."""
    looks: dict[str, tuple[float, ...]] = {}
    for path in sorted(set(paths)):
        inside = [
            full
            for root, inner in ((images_dir, path), (images_dir.parent, path), (images_dir, Path(path).name))
            if (full := (root / inner).resolve()).is_relative_to(root.resolve()) and full.is_file()
        ]
        if not inside:
            raise SourceUnreadable(path, f"is not a picture in {images_dir}.", "Name the pictures' folder: --images.")
        looks[path] = look_of(decode(inside[0].read_bytes(), path).image)
    return looks


def run(
    in_path: Path,
    images_dir: Path,
    out_path: Path,
    writer: Eye | None = None,
    writer_by_id: Mapping[str, Eye] | None = None,
) -> int:
    """Place every task of `in_path` and write the predictions; the number of tasks. Nothing half-written stays.
    `writer_by_id` gives single tasks a writer of their own (leave-one-source-out numbers: `LeftOutWriter`)."""
    if writer is None:
        # Wiring knows the encoders; whoever brings a writer need not load them.
        from agents.extractive import ExtractiveWriter
        from workers.settings import settings
        from workers.wiring import make_embedder

        writer = ExtractiveWriter(make_embedder(settings()))
    records = read_lines(in_path)
    looks = read_looks(images_dir, (str(item["image"]) for record in records for item in record.get("bag", ())))
    special = writer_by_id or {}
    answers = [place(record, special.get(str(record.get("id")), writer), looks) for record in records]
    lines = [json.dumps(answer, ensure_ascii=False, sort_keys=True) for answer in answers]
    write_whole(out_path, "".join(line + "\n" for line in lines).encode())
    return len(records)
