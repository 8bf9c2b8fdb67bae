"""Progress bar: how far a long command is, on standard error; nothing where that is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["Show", "Sum", "progress_bar", "stage_bar"]

# stage, done, total (None: not known yet)
Show = Callable[[str, int, int | None], None]


@contextmanager
def progress_bar(quiet: bool, *, counted: bool = False) -> Iterator[Show]:
    """A bar for each stage that is shown. `counted`: says 3/7 where it would say 43 %."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    share = MofNCompleteColumn() if counted else TaskProgressColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), share, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield show


@contextmanager
def stage_bar(stage: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """The bar of a single stage, there from the beginning, which counts."""
    with progress_bar(quiet, counted=True) as show:
        show(stage, 0, None)
        yield lambda done, total: show(stage, done, total)


class Sum:
    """Adds up the pieces of a stage and shows their sum."""

    def __init__(self, show: Show, stage: str, total: int) -> None:
        self.done, self.total, self.stage, self.show = 0, total, stage, show

    def add(self, count: int) -> None:
        """So much more is done."""
        self.done += count
        self.show(self.stage, self.done, self.total)
