"""What commands print is text as it is, however it is spelt; bars are for terminals alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interleaf.cli.printing import MAX_SHOWN, json_line, say, say_some
from interleaf.cli.progress_bar import Sum, progress_bar, stage_bar


def test_brackets_are_no_markup_and_long_lines_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    line = "photo [bold]1[/].png " + "and more " * 60
    say(line, "yellow")
    say("[red]aside", error=True)
    said = capsys.readouterr()
    assert said.out == f"{line}\n" and said.err == "[red]aside\n"


@pytest.mark.parametrize("count", [0, 1, MAX_SHOWN, MAX_SHOWN + 1, MAX_SHOWN + 1_500])
def test_of_many_lines_the_first_are_told_and_the_others_counted(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    say_some([f"line {number}" for number in range(count)], before="note: ")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:MAX_SHOWN] == [f"note: line {number}" for number in range(min(count, MAX_SHOWN))]
    more = count - MAX_SHOWN
    assert lines[MAX_SHOWN:] == ([f"note: and {more:,} more (--json lists all)"] if more > 0 else [])


def test_json_is_one_line_and_knows_paths() -> None:
    line = json_line({"file": Path("a/b.png"), "title": "海\n"})
    assert "\n" not in line and "海" in line
    assert json.loads(line) == {"file": str(Path("a/b.png")), "title": "海\n"}


def test_bars_say_nothing_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(quiet=False) as show, stage_bar("reading", quiet=False) as step:
        show("checking", 1, 3)
        show("copying", 0, None)
        step(1, 2)
    said = capsys.readouterr()
    assert said.out == said.err == ""


def test_a_sum_shows_what_was_added_up() -> None:
    shown: list[tuple[str, int, int | None]] = []
    total = Sum(lambda *step: shown.append(step), "verifying", 30)
    for count in (10, 5, 15):
        total.add(count)
    assert shown == [("verifying", 10, 30), ("verifying", 15, 30), ("verifying", 30, 30)]
