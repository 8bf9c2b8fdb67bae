"""Retrieval: finds each place's picture in a library of all captioned pictures, with the product's own search.

A real library is made in a temporary folder from the pictures of `articles.jsonl`, as a person would make it:
pixels, caption and alt text, nothing of where an author put them. Pictures that show the same are one.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from evals.articleset import read_lines
from interleaf.errors import SourceUnreadable
from interleaf.schema import PictureFilter, PictureQuery
from interleaf.whole_file import write_whole
from retrieval.library import PictureLibrary
from retrieval.pictures.metadata import PictureMetadata
from retrieval.vectors.embedder import TextEmbedder

__all__ = ["run"]

RANKED: Final = 100


def run(
    in_path: Path,
    images_dir: Path,
    catalog_path: Path,
    out_path: Path,
    *,
    embedder: TextEmbedder | None = None,
    ranked: int = RANKED,
) -> None:
    """Read the tasks in `in_path`, write `{id, ranked: [image_path, …]}` to `out_path`, best first.

    `catalog_path` is an `articles.jsonl`; its picture paths start from `images_dir` or from the folder above it.
    SourceUnreadable names the line or the picture that is missing or wrong."""
    tasks = read_lines(in_path)
    captioned = dict(_captioned(catalog_path))
    queries = [_query(task) for task in tasks]
    files = {path: _file(images_dir, path) for path in captioned}
    paths_of: dict[str, list[str]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="interleaf-eval-") as folder,
        PictureLibrary.open(Path(folder), embedder=embedder or TextEmbedder()) as library,
    ):
        report = library.add_described([(files[path], words) for path, words in captioned.items()], dedupe="exact")
        if report.refused:
            first = report.refused[0]
            raise SourceUnreadable(str(first.name), f"is not a usable picture ({first.reason})", "Mend the set.")
        for path, file in files.items():
            paths_of.setdefault(library.id_of_file(file), []).append(path)
        hits = library.search(queries, ranked, PictureFilter())
    lines = []
    for task, found in zip(tasks, hits, strict=True):
        best = [path for hit in found for path in paths_of[hit.picture.id]]
        lines.append(json.dumps({"id": task["id"], "ranked": best}, ensure_ascii=False))
    write_whole(out_path, "".join(line + "\n" for line in lines).encode())


def _captioned(catalog_path: Path) -> Iterator[tuple[str, PictureMetadata]]:
    """(image path, what is said of it) of every picture with a caption; the first of several captions counts."""
    seen: set[str] = set()
    for article in read_lines(catalog_path):
        for block in article.get("blocks", ()):
            path, caption = str(block.get("image_path") or ""), str(block.get("caption") or "")
            if block.get("type") == "image" and path and caption.strip() and path not in seen:
                seen.add(path)
                yield path, PictureMetadata(caption=caption, caption_origin="document", alt=str(block.get("alt") or ""))


def _query(task: dict[str, Any]) -> PictureQuery:
    try:
        fields = {name: str(task.get(name) or "") for name in ("before", "after", "heading", "title")}
        return PictureQuery(**{**fields, "heading": fields["heading"][:4_000], "title": fields["title"][:4_000]})
    except ValueError as error:
        raise SourceUnreadable(str(task.get("id", "?")), f"is not a retrieval task ({error}).", "Mend it.") from error


def _file(images_dir: Path, path: str) -> Path:
    """The picture's file: the paths of a set start from its folder, and people name that or its `images`."""
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise SourceUnreadable(path, "leads out of the set's folder.", "Use paths inside it.")
    for candidate in (images_dir / path, images_dir.parent / path):
        if candidate.is_file():
            return candidate
    raise SourceUnreadable(path, f"there is no such picture under {images_dir}.", "Check --images.")
