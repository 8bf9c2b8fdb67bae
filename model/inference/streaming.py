"""Streaming: tokens become text piece by piece, each piece final.

Held back are bytes that are not a character yet, and words that may turn out to begin a stop. Only a few tokens are
decoded again at each step, so that a long answer costs in proportion to its length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["Words"]

# A run of tokens that still is no character after so many is shown as it is.
_MAX_HELD: Final = 16
_UNFINISHED: Final = "\ufffd"


class Words:
    """The text of one answer. `decode` turns ids into text; `stops` end it and are left out."""

    def __init__(self, decode: Callable[[list[int]], str], stops: Sequence[str] = ()) -> None:
        self._decode, self._stops = decode, tuple(stops)
        self._ids: list[int] = []
        # ids[context : read] were shown; they are decoded along, for what follows may depend on them.
        self._context, self._read = 0, 0
        self._held = ""
        self.stopped = False

    def add(self, token: int) -> str:
        """Take one more token; the text that is certain now."""
        if self.stopped:
            return ""
        self._ids.append(token)
        shown = self._decode(self._ids[self._context : self._read])
        now = self._decode(self._ids[self._context :])
        whole = not now.endswith(_UNFINISHED) or len(self._ids) - self._read > _MAX_HELD
        if len(now) > len(shown) and whole:
            self._context, self._read = self._read, len(self._ids)
            return self._released(now[len(shown) :])
        return ""

    def rest(self) -> str:
        """What was held back, when no token follows."""
        if self.stopped:
            return ""
        shown = self._decode(self._ids[self._context : self._read])
        now = self._decode(self._ids[self._context :])
        self._context, self._read = self._read, len(self._ids)
        text = self._released(now[len(shown) :])
        if not self.stopped:
            text, self._held = text + self._held, ""
        return text

    def _released(self, text: str) -> str:
        """The part of held and new text that no stop can reach any more; up to the first stop where there is one."""
        text = self._held + text
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = max((self._begins(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    @staticmethod
    def _begins(text: str, stop: str) -> int:
        """How many characters at the end of `text` may begin `stop`."""
        for count in range(min(len(stop) - 1, len(text)), 0, -1):
            if text.endswith(stop[:count]):
                return count
        return 0
