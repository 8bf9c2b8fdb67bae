"""Part log: whole lines, files that do not grow without end, and no part that waits for a disk."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from workers.service.part_log import KEPT_FILES, LAST_LINES, MAX_LINE_BYTES, PartLog


def read(log: PartLog, content: bytes) -> None:
    thread = log.read_from(io.BytesIO(content))
    thread.join(30)
    assert not thread.is_alive()


def test_every_line_is_kept_and_shown(tmp_path: Path) -> None:
    shown: list[str] = []
    log = PartLog(tmp_path / "a.log", echo=shown.append)
    read(log, b"one\n  two\xff\x1b[2J\n\nthree")
    assert (tmp_path / "a.log").read_bytes() == b"one\n  two\xff\x1b[2J\n\nthree\n"
    assert shown == ["one", "  two\N{REPLACEMENT CHARACTER} [2J", "three"]
    assert log.last_lines() == shown


def test_a_full_file_becomes_an_older_one_and_the_oldest_goes(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "a.log", max_bytes=100)
    lines = [f"line {i:04}\n".encode() for i in range(100)]
    read(log, b"".join(lines))
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["a.log", *(f"a.log.{n}" for n in range(1, KEPT_FILES + 1))]
    assert all(path.stat().st_size <= 100 for path in files)
    # Newest first in the newest file; together they are the last lines without a hole.
    kept = b"".join(path.read_bytes() for path in [*reversed(files[1:]), files[0]])
    assert kept == b"".join(lines[-len(kept) // 10 :])
    assert kept.endswith(lines[-1])


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "a.log")
    read(log, b"x" * (MAX_LINE_BYTES + 10) + b"\nnext\n")
    assert [len(line) for line in (tmp_path / "a.log").read_bytes().splitlines()] == [MAX_LINE_BYTES, 10, 4]


def test_a_log_that_cannot_be_written_loses_lines_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "a.log").mkdir()
    shown: list[str] = []
    log = PartLog(tmp_path / "a.log", echo=shown.append)
    read(log, b"one\ntwo\n")
    assert shown == ["one", "two"]
    assert "cannot be written" in log.last_lines()[-1]


@pytest.mark.parametrize("count", [3, 50])
def test_the_last_lines_are_a_few(tmp_path: Path, count: int) -> None:
    log = PartLog(tmp_path / "a.log")
    read(log, b"".join(b"%d\n" % i for i in range(count)))
    assert log.last_lines() == [str(i) for i in range(count)][-LAST_LINES:]
    log.forget_last()
    assert log.last_lines() == []
