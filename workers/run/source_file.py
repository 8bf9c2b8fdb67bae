"""Source file: a note on disk becomes a SourceText, or a clear error; nothing is guessed silently."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from charset_normalizer import from_bytes

from interleaf.errors import SourceUnreadable
from interleaf.schema import Notice, Source, SourceText
from interleaf.text import clean, clean_line

__all__ = ["ReadSource", "read_sources", "source_id"]

MARKDOWN_SUFFIXES = frozenset({".md", ".markdown", ".mdown", ".mkd"})
PLAIN_SUFFIXES = frozenset({".txt", ".text", ""})
MAX_FILES = 10_000
# What charset-normalizer may leave in doubt (share of "mess" in the decoded text) before we refuse.
MAX_CHAOS = 0.08
# Reading a guess needs some text to guess from.
GUESS_SAMPLE_BYTES = 2_000_000


@dataclass(frozen=True)
class ReadSource:
    """A source that was read, and the folder that its pictures' relative paths start from (None: given as text)."""

    text: SourceText
    folder: Path | None


def source_id(text: str) -> str:
    """`s-` and the head of the sha256 of the text: the same text has the same id everywhere."""
    return "s-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def read_sources(
    sources: tuple[Source, ...], base: Path, max_total_bytes: int
) -> tuple[tuple[ReadSource, ...], tuple[Notice, ...]]:
    """Every source of a brief, in order; folders are walked in name order. `base` is where relative paths start.

    Raises SourceUnreadable for a file that was named and cannot be read. Inside a folder, files that are
    not notes are passed over and told in a notice.
    """
    read: dict[str, ReadSource] = {}
    notices: list[Notice] = []
    total_bytes = 0
    for i, source in enumerate(sources):
        if source.text is not None:
            text = clean(source.text)
            kind: Literal["text/markdown", "text/plain"] = (
                "text/plain" if source.media_type == "text/plain" else "text/markdown"
            )
            name = source.name or f"note {i + 1}"
            found = [ReadSource(SourceText(id=source_id(text), name=name, media_type=kind, text=text), None)]
            total_bytes += len(text.encode())
            _check_total(name, total_bytes, max_total_bytes)
        else:
            assert source.path is not None
            found = []
            for path in _note_files(base / Path(source.path).expanduser(), source.path, notices):
                try:
                    total_bytes += path.stat().st_size
                    _check_total(path.name, total_bytes, max_total_bytes)
                    raw = path.read_bytes()
                except OSError as error:
                    raise SourceUnreadable(
                        str(path.name), f"cannot be read ({error.strerror}).", "Check that it exists and is readable."
                    ) from error
                found.append(ReadSource(_decode(raw, path, source, notices), path.parent))
        for one in found:
            if one.text.id in read:
                notices.append(
                    Notice(code="source_repeated", message=f"{one.text.name} repeats {read[one.text.id].text.name}")
                )
            else:
                read[one.text.id] = one
    return tuple(read.values()), tuple(notices)


def _check_total(name: str, total_bytes: int, max_total_bytes: int) -> None:
    if total_bytes > max_total_bytes:
        raise SourceUnreadable(
            name,
            f"the notes add up to more than {max_total_bytes // 2**20} MiB.",
            "Give fewer notes, or raise INTERLEAF_MAX_SOURCE_MB.",
        )


def _note_files(path: Path, as_given: str, notices: list[Notice]) -> Iterator[Path]:
    """The notes under `path`, in name order."""
    if path.is_dir():
        root = path.resolve()
        passed: list[str] = []
        count = 0
        for file in sorted(root.rglob("*"), key=lambda p: [part.casefold() for part in p.relative_to(root).parts]):
            inner = file.relative_to(root).parts
            if not file.is_file() or any(part.startswith((".", "__")) for part in inner):
                continue
            if not file.resolve().is_relative_to(root):  # a link out of the folder is not part of it
                passed.append(file.name)
                continue
            if file.suffix.lower() in MARKDOWN_SUFFIXES | {".txt", ".text"}:
                count += 1
                if count > MAX_FILES:
                    raise SourceUnreadable(as_given, f"holds more than {MAX_FILES} notes.", "Give a smaller folder.")
                yield file
            elif file.suffix.lower() in {".pdf", ".docx", ".doc", ".odt", ".html", ".htm", ".rtf", ".epub"}:
                passed.append(file.name)
        if passed:
            names = ", ".join(clean_line(n) for n in passed[:5]) + (" …" if len(passed) > 5 else "")
            notices.append(
                Notice(code="sources_passed_over", message=f"not read (only Markdown and plain text are): {names}")
            )
        return
    if not path.exists():
        raise SourceUnreadable(as_given, "does not exist.", "Check the path; it starts from the brief's own folder.")
    if path.suffix.lower() in {".pdf", ".docx", ".doc", ".odt", ".html", ".htm", ".rtf", ".epub"}:
        raise SourceUnreadable(
            as_given,
            f"{path.suffix.lower()} documents are not read.",
            "Save it as Markdown (.md) or plain text (.txt).",
        )
    yield path


def _decode(raw: bytes, path: Path, source: Source, notices: list[Notice]) -> SourceText:
    name = clean_line(source.name or path.name) or "note"
    markdown = path.suffix.lower() in MARKDOWN_SUFFIXES
    kind: Literal["text/markdown", "text/plain"] = "text/markdown" if markdown else "text/plain"
    if source.media_type != "auto":
        kind = source.media_type
    text = _text_of(raw, name, notices)
    text = clean(text)
    return SourceText(id=source_id(text), name=name, media_type=kind, text=text)


def _text_of(raw: bytes, name: str, notices: list[Notice]) -> str:
    remedy = "Save it as UTF-8 text."
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.decode("utf-16")
        except UnicodeDecodeError as error:
            raise SourceUnreadable(name, "starts like UTF-16 and is not.", remedy) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    else:
        if text.count("\x00") > len(text) // 100:
            raise SourceUnreadable(name, "is not text (it is full of zero bytes).", remedy)
        return text
    if b"\x00" in raw[:GUESS_SAMPLE_BYTES]:
        raise SourceUnreadable(name, "is not text (it holds zero bytes and is not UTF-8).", remedy)
    guess = from_bytes(raw[:GUESS_SAMPLE_BYTES]).best()
    if guess is None or guess.chaos > MAX_CHAOS:
        raise SourceUnreadable(name, "is in an encoding that could not be told.", remedy)
    try:
        text = raw.decode(guess.encoding)
    except UnicodeDecodeError as error:
        raise SourceUnreadable(name, f"looked like {guess.encoding} and is not.", remedy) from error
    notices.append(
        Notice(code="encoding_guessed", message=f"{name} is not UTF-8; it was read as {guess.encoding}: check accents")
    )
    return text
