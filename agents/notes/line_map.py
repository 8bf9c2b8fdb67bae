"""Line map: where the lines of a source stand, and the words that markdown-it found in them."""

from __future__ import annotations

import re

from markdown_it.token import Token

__all__ = ["LineMap", "Run"]

Run = tuple[str, int, int]
"""(joint, start, end): words of the source, and what stands before them in a block's text."""


class LineMap:
    """`body` is the offset at which the Markdown begins, after front matter; lines are counted from there."""

    def __init__(self, text: str, body: int) -> None:
        self.text = text
        self.line_starts = [body]
        for found in re.compile("\n").finditer(text, body):
            self.line_starts.append(found.end())

    def line(self, number: int) -> tuple[int, int]:
        """Where a line begins and ends, without its line end."""
        start = self.line_starts[number]
        following = number + 1
        return start, self.line_starts[following] - 1 if following < len(self.line_starts) else len(self.text)

    def paragraph_runs(self, inline: Token) -> list[Run]:
        """The words of each line of a paragraph, without the marks of its containers."""
        assert inline.map is not None
        runs: list[Run] = []
        for k, line in enumerate(inline.content.split("\n")):
            words = line.strip()
            if not words:
                continue
            start, end = self.line(inline.map[0] + k)
            while end > start and self.text[end - 1].isspace():
                end -= 1
            if self.text.endswith(words, start, end):
                runs.append(("\n", end - len(words), end))
        return runs

    def heading_runs(self, inline: Token) -> list[Run]:
        assert inline.map is not None
        start, end = self.line(inline.map[0])
        words = inline.content.strip()
        marks = self.text.find("#", start, end)
        while start <= marks < end and self.text[marks] == "#":
            marks += 1
        place = self.text.find(words, max(start, marks), end) if words else -1
        return [("", place, place + len(words))] if place >= 0 else []
