"""Edit display: blocks, versions and what changed, for a person in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from interleaf.cli.printing import console, say

if TYPE_CHECKING:
    from interleaf.cli.edit_desk import Change, Version
    from interleaf.schema import Article, Block

__all__ = ["tell_block", "tell_blocks", "tell_changes", "tell_versions"]

PREVIEW_CHARS: Final = 72
SHORT_ID_CHARS: Final = 12
_MARKS: Final = {"added": "+", "removed": "-", "moved": ">", "changed": "~"}
_STYLES: Final = {"added": "green", "removed": "red", "moved": "cyan", "changed": "yellow"}


def tell_blocks(article: Article, version: int) -> None:
    """A line for each block: its id, its kind, how it begins."""
    from rich.table import Table
    from rich.text import Text

    say(f"{article.title} · version {version}", "bold")
    table = Table("block", "kind", "begins")
    for block in article.blocks:
        table.add_row(Text(block.id, no_wrap=True), block.type, Text(_preview(block)))
    console().print(table)


def tell_block(article: Article, block: Block) -> None:
    """The whole block; of a figure also what else was considered for its place."""
    say(f"{block.id} · {block.type} · from {block.provenance.origin}", "bold")
    if block.type != "figure":
        say(block.text)
        return
    for name, said in (("caption", block.caption), ("alt", block.alt), ("credit", block.credit), ("why", block.reason)):
        say(f"{name}: {said}")
    say(f"picture: {block.picture_id[:SHORT_ID_CHARS]}")
    for other in block.alternatives:
        say(f"  or {other.picture_id[:SHORT_ID_CHARS]}  {other.score:.2f}  {other.caption}")


def tell_versions(versions: Sequence[Version]) -> None:
    """A line for each version, the newest first."""
    from rich.table import Table

    table = Table("version", "how", "when", "words")
    for one in versions:
        how = f"{one.how} {one.op}".strip() if one.same_as is None else f"{one.how}: as version {one.same_as}"
        table.add_row(str(one.version), how, one.at, "" if one.words is None else f"{one.words:,}")
    console().print(table)


def tell_changes(changes: Sequence[Change]) -> None:
    """What changed, in colours where there are some: words that went in red, words that came in green."""
    from rich.text import Text

    if not changes:
        say("nothing differs")
    for change in changes:
        line = f"{_MARKS[change.kind]} {change.block_type} {change.block_id}: {change.preview}"
        say(line, _STYLES[change.kind])
        for name, words in change.fields:
            told = Text(f"    {name}: ")
            for kind, said in words:
                # Marked, too, for those who see no colours.
                marked = {"removed": f"[-{said}-]", "added": f"{{+{said}+}}"}.get(kind, said)
                told.append(marked, style={"removed": "red", "added": "green"}.get(kind, ""))
            console().print(told, soft_wrap=True)


def _preview(block: Block) -> str:
    line = " ".join((block.caption if block.type == "figure" else block.text).split())
    return line if len(line) <= PREVIEW_CHARS else line[: PREVIEW_CHARS - 1] + "…"
