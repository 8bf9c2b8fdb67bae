"""Teaching set: conversations about pictures in the published form, read strictly before anything is taught.

A set is a JSON list of {id, image, conversations}, or a data.txt whose lines name such lists with a number K: how
many thousand samples of the list an epoch takes. Whatever is wrong is said with the sample's place, the value and
the remedy; pictures and videos must lie under the folder of the list that names them.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from interleaf.errors import SourceUnreadable, shown
from model.prompts.picture import MAX_FILE_BYTES
from model.prompts.prompt import PICTURE, PLACEHOLDER, PicturePlace, Turn, placed

__all__ = ["Sample", "TeachingSet", "is_video", "read_teaching_set"]

MAX_LIST_BYTES: Final = 512 * 2**20
MAX_SAMPLES: Final = 1_000_000
MAX_TURNS: Final = 1_000
MAX_PICTURES: Final = 200
MAX_VALUE_CHARS: Final = 1_000_000
MAX_VIDEO_BYTES: Final = 4 * 2**30
VIDEO_ENDINGS: Final = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".ogv")

_USER: Final = ("user", "human")
_ASSISTANT: Final = ("assistant", "bot", "gpt")


@dataclass(frozen=True)
class Sample:
    """One conversation: turns that alternate, begin with the user's and end with the assistant's.

    `name`: list, place and id, for messages. `pictures`: files, one for each place in the turns."""

    name: str
    turns: tuple[Turn, ...]
    pictures: tuple[Path, ...] = ()
    system: str = ""


@dataclass(frozen=True)
class TeachingSet:
    """All samples of a set. `shares`: for each list the range of its samples and how many of them an epoch takes.

    `fingerprint`: sha256 of the lists and of the lengths of all pictures."""

    samples: tuple[Sample, ...]
    shares: tuple[tuple[range, int], ...]
    fingerprint: str

    @property
    def epoch_length(self) -> int:
        """Samples of one epoch."""
        return sum(count for _, count in self.shares)

    def order(self, epoch: int, seed: int) -> list[int]:
        """Which samples an epoch takes, in its order; a list that must give more than it has is gone through again.
        The same for the same numbers."""
        chance = random.Random(f"{seed}:{epoch}")
        taken: list[int] = []
        for places, count in self.shares:
            whole, rest = divmod(count, len(places))
            taken += list(places) * whole + chance.sample(places, rest)
        chance.shuffle(taken)
        return taken


def is_video(path: Path) -> bool:
    """Whether a file is taken for a video, by its name."""
    return path.suffix.lower() in VIDEO_ENDINGS


def read_teaching_set(path: Path) -> TeachingSet:
    """The set in a JSON file, or in those that a data.txt names. SourceUnreadable for everything that is wrong."""
    lists = list(_lists_of(path)) if path.suffix.lower() == ".txt" else [(path, None)]
    samples: list[Sample] = []
    shares: list[tuple[range, int]] = []
    digest = hashlib.sha256()
    for place, thousands in lists:
        data = _read(place, MAX_LIST_BYTES)
        digest.update(hashlib.sha256(data).digest() + f"{thousands}".encode())
        first = len(samples)
        samples += _samples(place, data)
        found = range(first, len(samples))
        shares.append((found, len(found) if thousands is None else max(1, round(thousands * 1_000))))
    for sample in samples:
        digest.update("".join(f"{p.stat().st_size}:" for p in sample.pictures).encode())
    return TeachingSet(tuple(samples), tuple(shares), digest.hexdigest())


# Lists


def _lists_of(path: Path) -> Iterator[tuple[Path, float]]:
    try:
        lines = _read(path, MAX_LIST_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SourceUnreadable(path.name, f"is not UTF-8 ({error.reason}).", "Save it as UTF-8.") from error
    found = 0
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path.name} line {number}"
        name, _, share = line.strip().rpartition(" ")
        try:
            thousands = float(share)
        except ValueError:
            thousands = math.nan
        if not name or not (0 < thousands * 1_000 <= MAX_SAMPLES):
            raise SourceUnreadable(
                where, f"is {shown(line)!r}.", "Write: list.json K, where K counts thousands of samples (0.02: 20)."
            )
        yield _inside(path.parent, name.strip(), where, MAX_LIST_BYTES), thousands
        found += 1
    if not found:
        raise SourceUnreadable(path.name, "names no list.", "Write lines such as: list.json 0.02")


def _read(path: Path, most_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})."
        raise SourceUnreadable(path.name, problem, "Give a JSON list of samples, or a data.txt.") from error
    if len(data) > most_bytes:
        raise SourceUnreadable(path.name, f"is larger than {most_bytes >> 20} MiB.", "Split it and name the parts.")
    return data


def _samples(path: Path, data: bytes) -> list[Sample]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceUnreadable(path.name, f"is no JSON ({shown(error)}).", "Save it as JSON in UTF-8.") from error
    if not isinstance(found, list) or not found:
        said = "an empty list" if found == [] else f"a {type(found).__name__}"
        raise SourceUnreadable(path.name, f"holds {said}.", "Give a list of {id, image, conversations}.")
    if len(found) > MAX_SAMPLES:
        raise SourceUnreadable(path.name, f"has {len(found):,} samples; at most {MAX_SAMPLES:,}.", "Split it.")
    return [_sample(path, number, one) for number, one in enumerate(found, 1)]


# Samples


def _sample(path: Path, number: int, said: Any) -> Sample:
    name = f"{path.name} sample {number}"
    if not isinstance(said, dict):
        raise SourceUnreadable(name, f"is a {type(said).__name__}.", "Write {id, image, conversations}.")
    if said.get("id") is not None:
        name += f" ({shown(said['id'])})"
    pictures = tuple(
        _inside(path.parent, one, f"{name}, image {place}", None)
        for place, one in enumerate(_listed(name, said.get("image")), 1)
    )
    turns, system = _turns(name, said.get("conversations"))
    return Sample(name, _with_places(name, turns, len(pictures)), pictures, system)


def _listed(name: str, image: Any) -> list[str]:
    """`image` as a list of paths: absent, one, or several."""
    paths = [] if image is None else image if isinstance(image, list) else [image]
    for path in paths:
        if not isinstance(path, str) or not path.strip() or "\0" in path:
            raise SourceUnreadable(name, f"names the image {shown(path)!r}.", "Give a path, or leave image out.")
    if len(paths) > MAX_PICTURES:
        raise SourceUnreadable(name, f"has {len(paths)} pictures; at most {MAX_PICTURES}.", "Split the sample.")
    return paths


def _inside(folder: Path, written: str, where: str, most_bytes: int | None) -> Path:
    """The file that `written` names. SourceUnreadable when it is not there, too large, or not under `folder`."""
    root = folder.resolve()
    try:
        path = (root / PurePath(written)).resolve()
        if not path.is_relative_to(root):
            problem = f"{shown(written)!r} leads out of the set's folder."
            raise SourceUnreadable(where, problem, "Put all files of the set under the folder of its list.")
        if not path.is_file():
            problem = f"there is no file {shown(written)!r}."
            raise SourceUnreadable(where, problem, "Write paths as seen from the folder of the list.")
        length = path.stat().st_size
    except (OSError, ValueError, RuntimeError) as error:
        problem = f"{shown(written)!r} cannot be read ({shown(error)})."
        raise SourceUnreadable(where, problem, "Give a plain path.") from error
    limit = most_bytes or (MAX_VIDEO_BYTES if is_video(path) else MAX_FILE_BYTES)
    if length > limit:
        problem = f"{shown(written)!r} has {length / 2**20:,.0f} MiB; at most {limit >> 20:,}."
        raise SourceUnreadable(where, problem, "Save it smaller.")
    return path


def _turns(name: str, said: Any) -> tuple[list[Turn], str]:
    """The turns of a conversation, and what its first turn says when that is the system's."""
    if not isinstance(said, list) or not said:
        raise SourceUnreadable(name, "has no conversations.", "Write [{from: user, value}, {from: assistant, value}].")
    if len(said) > MAX_TURNS:
        raise SourceUnreadable(name, f"has {len(said):,} turns; at most {MAX_TURNS:,}.", "Split the sample.")
    values = [_value(f"{name}, turn {number}", turn) for number, turn in enumerate(said, 1)]
    system = ""
    if values[0][0] == "system":
        system = values.pop(0)[1]
        if PLACEHOLDER in system:
            raise SourceUnreadable(f"{name}, turn 1", f"is the system's and holds {PLACEHOLDER}.", "Move it.")
    first = len(said) - len(values) + 1
    turns = []
    for number, (role, value) in enumerate(values):
        due, where = ("assistant" if number % 2 else "user"), f"{name}, turn {number + first}"
        if (role in _USER, role in _ASSISTANT) != (due == "user", due == "assistant"):
            known = role in (*_USER, *_ASSISTANT, "system")
            problem = f"is from {shown(role)!r} where {due} is due." if known else f"is from {shown(role)!r}."
            remedy = (
                "Let them alternate, the user first." if known else f"Write one of {', '.join(_USER + _ASSISTANT)}."
            )
            raise SourceUnreadable(where, problem, remedy)
        if due == "assistant" and PLACEHOLDER in value:
            problem = f"is an answer and holds {PLACEHOLDER}: a model cannot say a picture."
            raise SourceUnreadable(where, problem, "Put pictures into the user's turns.")
        turns.append(Turn("user" if due == "user" else "assistant", placed(value) if due == "user" else (value,)))
    if len(turns) < 2 or len(turns) % 2:
        raise SourceUnreadable(name, "does not end with an answer.", "Give the assistant's turn last.")
    return turns, system


def _value(where: str, turn: Any) -> tuple[str, str]:
    if not isinstance(turn, dict) or not isinstance(turn.get("from"), str):
        raise SourceUnreadable(where, f"is {shown(turn)!r}.", "Write {from, value}.")
    value = turn.get("value")
    if not isinstance(value, str) or not value.strip():
        raise SourceUnreadable(where, f"says {shown(value)!r}.", "Give every turn words, or leave the sample out.")
    if len(value) > MAX_VALUE_CHARS:
        raise SourceUnreadable(where, f"has {len(value):,} characters; at most {MAX_VALUE_CHARS:,}.", "Shorten it.")
    return turn["from"], value.strip()


def _with_places(name: str, turns: list[Turn], pictures: int) -> tuple[Turn, ...]:
    """The turns with a place for each picture; a single one without a place stands in front, as published."""
    places = sum(isinstance(part, PicturePlace) for turn in turns for part in turn.parts)
    if pictures == 1 and not places:
        return (Turn("user", (PICTURE, *turns[0].parts)), *turns[1:])
    if places != pictures:
        raise SourceUnreadable(
            name,
            f"has {pictures} pictures and {places} times {PLACEHOLDER}.",
            "Write `Image1 <ImageHere>; Image2 <ImageHere>; …`, one for each picture.",
        )
    return tuple(turns)
