"""Quoting: other people's words in a question, between marks that nobody who wrote them could have written.

A mark is a hash over the seed and over all the words that it stands around: who would write it into a document
would change it by that. The same material gives the same marks, so that a run can be made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from interleaf.text import clean, clean_line

__all__ = ["Marks", "marks_for"]

MARK_HEX_DIGITS = 16
MAX_NAME_CHARS = 120


class Marks:
    """Puts material between marks. `token` stands in each of them."""

    def __init__(self, token: str) -> None:
        self.token = token

    def quoted(self, name: str, text: str) -> str:
        """`text` between an opening mark with its name and a closing one, each on a line of its own."""
        label = clean_line(name).replace("]", ")").replace("[", "(")[:MAX_NAME_CHARS]
        return f"[{self.token} {label}]\n{self._without_mark(clean(text)).strip()}\n[/{self.token}]"

    def line(self, text: str) -> str:
        """Words of one line, such as a caption, between the marks on that line."""
        return f"[{self.token}] {self._without_mark(clean_line(text))} [/{self.token}]"

    def _without_mark(self, text: str) -> str:
        # Only by chance: once in 2^64.
        return text.replace(self.token, "")


def marks_for(seed: int, texts: Iterable[str]) -> Marks:
    """Marks for one question. `texts`: all the words of others that stand in it."""
    digest = hashlib.sha256(f"interleaf marks {seed}".encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode("utf-8", "replace")).digest())
    return Marks(digest.hexdigest()[:MARK_HEX_DIGITS])
