"""Sidecar: what people wrote beside their pictures: manifest.csv, .json or .yaml, or one file per picture.

A broken sidecar is told by its name and line, and says nothing; the pictures still come in.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

import yaml

from retrieval.pictures.metadata import ALIASES, PictureMetadata, from_mapping

__all__ = ["MANIFEST_NAMES", "MAX_SIDECAR_BYTES", "Manifest", "is_sidecar_of", "read_manifest", "read_picture_sidecar"]

MAX_SIDECAR_BYTES: Final = 32 * 1024 * 1024
MAX_YAML_BYTES: Final = 8 * 1024 * 1024  # the YAML reader is a hundred times slower than the others
MAX_NOTES: Final = 20
MANIFEST_NAMES: Final = ("manifest.csv", "manifest.json", "manifest.yaml", "manifest.yml")
_SIDECAR_SUFFIXES: Final = (".json", ".yaml", ".yml")
_FILE_KEYS: Final = ("file", "filename", "file_name", "name", "path", "image", "picture")
_LIST_KEYS: Final = ("pictures", "images", "files", "items")
_KNOWN_KEYS: Final = frozenset(alias for aliases in ALIASES.values() for alias in aliases)

# A caption of a megabyte is cut with a note, not refused by the CSV reader.
csv.field_size_limit(max(csv.field_size_limit(), MAX_SIDECAR_BYTES))


class _Broken(Exception):
    """A sidecar cannot be read; the message names the line. Never leaves this file."""


@dataclass(frozen=True)
class Manifest:
    """What a manifest says of pictures: by path below its folder, and by bare name where that is unique.

    `problems` are sentences for a person: why it says less than it could.
    """

    by_path: Mapping[str, PictureMetadata] = field(default_factory=dict)
    by_name: Mapping[str, PictureMetadata | None] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def about(self, path: str) -> PictureMetadata | None:
        """What it says of the picture at `path`, relative to the manifest's folder, with `/`."""
        key = _path_key(path)
        return self.by_path.get(key) or self.by_name.get(key.rpartition("/")[2])


def read_manifest(data: bytes, name: str) -> Manifest:
    """The manifest in `data`; its form is told by the suffix of `name`."""
    suffix = PurePosixPath(name).suffix.lower()
    problems: list[str] = []
    by_path: dict[str, PictureMetadata] = {}
    by_name: dict[str, PictureMetadata | None] = {}
    try:
        rows = _csv_rows(_text(data, suffix), problems) if suffix == ".csv" else _listed(_parsed(data, suffix))
        for where, row in rows:
            written = _file_of(row)
            if not written:
                problems.append(f"{where} names no file.")
                continue
            key = _path_key(written)
            bare = key.rpartition("/")[2]
            if key in by_path:
                problems.append(f"{where} names {written[:80]!r} again; the first one counts.")
                continue
            metadata = from_mapping(
                {k: v for k, v in row.items() if k not in _FILE_KEYS}, "sidecar", written.rpartition("/")[2]
            )
            by_path[key] = metadata
            by_name[bare] = None if bare in by_name else metadata
    except _Broken as error:
        problems.append(str(error))
    if len(problems) > MAX_NOTES:
        problems[MAX_NOTES:] = [f"and {len(problems) - MAX_NOTES} more problems."]
    return Manifest(by_path, by_name, tuple(problems))


def read_picture_sidecar(data: bytes, name: str, picture_name: str) -> tuple[PictureMetadata | None, str]:
    """(what it says of its picture or None, why it could not be read or an empty string)."""
    try:
        value = _parsed(data, PurePosixPath(name).suffix.lower())
    except _Broken as error:
        return None, str(error)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict) or not any(_norm(k) in _KNOWN_KEYS for k in value):
        return None, ""  # some other program's file of that name
    return from_mapping(value, "sidecar", picture_name), ""


def is_sidecar_of(picture_name: str) -> tuple[str, ...]:
    """The names of files that may speak for this picture alone, best first."""
    stem = picture_name.rpartition(".")[0] or picture_name
    return tuple(base + suffix for base in (picture_name, stem) for suffix in _SIDECAR_SUFFIXES)


def _path_key(path: str) -> str:
    """A written path as the key under which it is looked up; never used to open a file."""
    parts = unicodedata.normalize("NFC", path).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", "..")).casefold()


def _norm(key: object) -> str:
    return key.strip().lower().replace("-", "_").replace(" ", "_") if isinstance(key, str) else ""


def _file_of(row: Mapping[Any, Any]) -> str:
    for key in _FILE_KEYS:
        value = row.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _text(data: bytes, suffix: str) -> str:
    limit = MAX_YAML_BYTES if suffix in (".yaml", ".yml") else MAX_SIDECAR_BYTES
    if len(data) > limit:
        raise _Broken(f"it has {len(data):,} bytes; at most {limit:,} are read. Split it, or use CSV.")
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if suffix == ".csv":  # spreadsheets still write Windows Latin
            return data.decode("cp1252", "replace")
        raise _Broken(f"line {line} is not UTF-8. Save it as UTF-8.") from error


def _csv_rows(text: str, problems: list[str]) -> Any:
    """(`line N`, row by lower-case column name); a row that does not fit is told and passed over."""
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    header: list[str] | None = None
    started = 1
    while True:
        started = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise _Broken(f"line {started} is not well-formed CSV ({error}); what follows it was not read.") from error
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = [_norm(cell) for cell in row]
            if not set(header) & set(_FILE_KEYS):
                raise _Broken(f"line {started} must name the columns, one of them `file`.")
            continue
        if len(row) > len(header):
            problems.append(f"line {started} has {len(row)} cells, the header {len(header)}; it was passed over.")
            continue
        yield f"line {started}", {k: v for k, v in zip(header, row, strict=False) if k}


def _parsed(data: bytes, suffix: str) -> Any:
    text = _text(data, suffix)
    try:
        return json.loads(text) if suffix == ".json" else yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader
    except json.JSONDecodeError as error:
        raise _Broken(f"line {error.lineno} is not well-formed JSON ({error.msg}).") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise _Broken(f"line {mark.line + 1 if mark else 1} is not well-formed YAML ({problem}).") from error
    except RecursionError as error:
        raise _Broken("line 1: it is nested too deeply.") from error
    except ValueError as error:  # an impossible date, an integer of ten thousand digits
        raise _Broken(f"line 1: a value cannot be read ({str(error)[:100]}).") from error


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _listed(value: Any) -> Any:
    """(where, row) for each picture of a parsed manifest: a list of rows, or rows by file name."""
    if isinstance(value, dict):
        for key in _LIST_KEYS:
            if isinstance(value.get(key), list | dict):
                value = value[key]
                break
    if isinstance(value, list):
        for i, row in enumerate(value):
            if isinstance(row, dict):
                yield f"entry {i + 1}", {_norm(k): v for k, v in row.items()}
    elif isinstance(value, dict):
        for name, row in value.items():
            if isinstance(row, str):
                yield f"entry {str(name)[:80]!r}", {"file": str(name), "caption": row}
            elif isinstance(row, dict):
                yield f"entry {str(name)[:80]!r}", {**{_norm(k): v for k, v in row.items()}, "file": str(name)}
    else:
        raise _Broken("line 1: it must hold a list of pictures, or pictures by file name.")
