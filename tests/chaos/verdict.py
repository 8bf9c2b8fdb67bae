"""Verdict: what a program of chaos saw, line by line, and whether each line is as it has to be."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Verdict"]


@dataclass
class Verdict:
    """A table that grows. `wrong` holds the lines that are not right; a line without a demand is never wrong."""

    title: str
    wrong: list[str] = field(default_factory=list)
    logs: str = ""
    """What stands below the table."""
    _lines: list[tuple[str, str, str]] = field(default_factory=list)

    def tell(self, what: str, found: object) -> None:
        """A line that only informs."""
        self._lines.append((what, str(found), ""))

    def hold(self, what: str, found: object, right: bool, demand: str) -> None:
        """A line that must be right; `demand` says in words what it must be."""
        self._lines.append((what, str(found), f"{'ok' if right else 'WRONG'}: {demand}"))
        if not right:
            self.wrong.append(f"{what}: {found} (must be {demand})")

    def equal(self, what: str, found: object, expected: object) -> None:
        """A line whose value must be that one."""
        self.hold(what, found, found == expected, str(expected))

    def none(self, what: str, found: list[str]) -> None:
        """A line that counts what must not be; the first few are named."""
        said = f"{len(found)}" + ("" if not found else f" ({'; '.join(found[:5])})")
        self.hold(what, said, not found, "0")

    @property
    def table(self) -> str:
        """All lines, in columns."""
        widths = [max((len(line[i]) for line in self._lines), default=0) for i in (0, 1)]
        rows = [
            f"  {what:<{widths[0]}}  {found:<{widths[1]}}  {demand}".rstrip() for what, found, demand in self._lines
        ]
        last = "All is right." if not self.wrong else f"{len(self.wrong)} not right."
        return "\n".join([self.title, *rows, last, *([self.logs] if self.logs else [])])

    @property
    def exit_code(self) -> int:
        return 1 if self.wrong else 0
