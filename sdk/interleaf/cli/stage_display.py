"""Stage display: how far a composition is, stage by stage, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interleaf.schema import Event

__all__ = ["stage_display"]


@contextmanager
def stage_display(silent: bool) -> Iterator[Callable[[Event], None]]:
    """Gives what takes the events: a bar for each stage in a terminal, else a line when it is done."""
    if silent:
        yield lambda event: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:

        def plain(event: Event) -> None:
            if event.kind == "stage_finished" or (event.kind == "run_started"):
                console.print(Text(f"{event.stage or event.run_id}: {event.message or 'done'}"))

        yield plain
        return
    with Progress(
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=24),
        TextColumn("[dim]{task.fields[note]}", markup=True),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        rows: dict[str, Any] = {}

        def live(event: Event) -> None:
            if event.kind == "run_started":
                progress.console.print(Text(f"run {event.run_id} {event.message}", style="dim"))
            if event.stage is None:
                return
            if event.stage not in rows:
                rows[event.stage] = progress.add_task(event.stage, total=1.0, note="")
            note = event.message.replace("[", "\\[")
            if event.kind == "progress":
                done = max(event.share_done or 0.0, progress.tasks[rows[event.stage]].completed)
                progress.update(rows[event.stage], completed=done, note=note)
            elif event.kind == "stage_finished" and event.stage != "draft":
                row = progress.tasks[rows[event.stage]]
                progress.update(rows[event.stage], completed=1.0, note=note or row.fields["note"])

        yield live
