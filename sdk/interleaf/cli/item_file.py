"""Item file: the items of a batch out of a JSON Lines or CSV file of a person's."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, Final

from interleaf.errors import InvalidRequest, shown

__all__ = ["read_items"]

MAX_BYTES: Final = 8 * 2**20
"""What a service takes in one order, if nobody has set it otherwise."""
MAX_ITEMS: Final = 1_000
CUSTOM_ID: Final = "custom_id"


def read_items(path: Path) -> list[dict[str, Any]]:
    """`{"custom_id": …, "variables": {…}}` for each line of a JSON Lines file, or for each row of a CSV file (by its
    suffix .csv), whose first row names the columns: `custom_id`, and the variables. InvalidRequest names the file, the
    line and what is wrong."""
    try:
        with path.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidRequest(str(path), f"cannot be read ({error.strerror}).", "Give a file of items.") from error
    if len(raw) > MAX_BYTES:
        raise InvalidRequest(str(path), f"is larger than {MAX_BYTES} bytes.", "Make several batches.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(str(path), f"is not UTF-8 (byte {error.start}).", "Save it as UTF-8.") from error
    items = _of_csv(path, text) if path.suffix.lower() == ".csv" else _of_json_lines(path, text)
    if not 1 <= len(items) <= MAX_ITEMS:
        raise InvalidRequest(str(path), f"has {len(items)} items.", f"Give 1 to {MAX_ITEMS}.")
    return items


def _of_csv(path: Path, text: str) -> list[dict[str, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(reader, [])
        if CUSTOM_ID not in names or len(set(names)) != len(names):
            raise InvalidRequest(
                f"{path}, line 1",
                "does not name the columns, each once, one of them custom_id.",
                "Write a first row such as: custom_id,harbour",
            )
        items = []
        for row in reader:
            if not row:  # an empty line
                continue
            if len(row) != len(names):
                raise InvalidRequest(
                    f"{path}, line {reader.line_num}",
                    f"has {len(row)} values for {len(names)} columns.",
                    "Quote commas.",
                )
            values = dict(zip(names, row, strict=True))
            items.append({CUSTOM_ID: values.pop(CUSTOM_ID), "variables": values})
        return items
    except csv.Error as error:
        raise InvalidRequest(f"{path}, line {reader.line_num}", f"is no CSV ({error}).", "Quote it rightly.") from error


def _of_json_lines(path: Path, text: str) -> list[dict[str, Any]]:
    items = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"{path}, line {number}", "is not JSON.", "Write one object on each line.") from error
        if not isinstance(item, dict) or not isinstance(item.get(CUSTOM_ID), str):
            raise InvalidRequest(
                f"{path}, line {number}",
                "is no item.",
                'Write {"custom_id": "brest", "variables": {"harbour": "Brest"}}.',
            )
        unknown = sorted(item.keys() - {CUSTOM_ID, "variables"})
        if unknown:
            raise InvalidRequest(
                f"{path}, line {number}", f"{shown(unknown[0])!r} is no field of an item.", "Put it under variables."
            )
        items.append(item)
    return items
