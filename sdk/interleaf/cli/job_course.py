"""Job course: a job of a service followed to its end in a terminal: its stages, its question, its files; and what
becomes of it when the person leaves."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer

from interleaf.cli.job_table import tell_moved
from interleaf.cli.piece_summary import tell_piece
from interleaf.cli.printing import say
from interleaf.cli.question_display import tell_question
from interleaf.cli.stage_display import stage_display
from interleaf.errors import InterleafError, InvalidBrief, ObjectUnknown

if TYPE_CHECKING:
    from interleaf.schema import Event
    from interleaf.service.client import Client
    from interleaf.service.service_job import Job
    from interleaf.service.service_records import ArtifactRecord, JobEvent, Question

__all__ = ["INTERRUPTED", "JobCourse", "fetch_files", "respond"]

INTERRUPTED: Final = 130
ASKED: Final = 7
_KINDS: Final = {
    "job.started": "run_started",
    "stage.started": "stage_started",
    "stage.progress": "progress",
    "stage.completed": "stage_finished",
}


@dataclass(frozen=True)
class JobCourse:
    """How a job is shown, and where its files go. `server` and `key_file` as the options said, for the commands that
    are told to the person."""

    client: Client
    out: Path
    server: str | None = None
    key_file: Path | None = None
    as_json: bool = False
    quiet: bool = False

    def follow(self, job: Job, after: int = 0) -> None:
        """Show it from event `after` to its end, fetch its files, sum it up. Exit 7 when it asks a person, 130 when the
        person interrupts; raises why it came to nothing."""
        try:
            with stage_display(self.quiet or self.as_json) as show:
                question = self._shown(job, after, show)
                if question is not None:
                    tell_question(job.id, question.question, self.coming_back(job.id), self.as_json)
                    raise typer.Exit(ASKED)
                job.refresh()
                job.raise_for_state()
                document = job.document()
                files = fetch_files(self.client, job, self.out, show)
        except KeyboardInterrupt:
            self._leave(job)
        tell_piece(job.id, document.article, files, self.as_json)
        if not self.as_json:
            tell_moved(job.record)
        if job.record.error is not None:  # a format that could not be made
            from interleaf.service.service_problem import error_of_problem

            raise error_of_problem(job.record.error)

    def coming_back(self, job_id: str) -> str:
        """The command that goes on with showing the job."""
        return shlex.join(["interleaf", "compose", "--resume", job_id, *self._where(), "--out", str(self.out)])

    def _shown(self, job: Job, after: int, show: Callable[[Event], None]) -> Question | None:
        """Its open question, or None at its end."""
        try:
            for event in job.events(after):
                shown = _as_run_event(job.id, event)
                if shown is not None:
                    show(shown)
                if event.name == "job.awaiting_input":
                    try:
                        question = job.question()
                    except ObjectUnknown:  # somebody has answered meanwhile
                        continue
                    if question.request_id == event.data.get("request_id"):
                        return question
        except InterleafError as error:
            if error.retryable:
                say(f"The job goes on without us. Come back with: {self.coming_back(job.id)}", "yellow", error=True)
            raise
        return None

    def _leave(self, job: Job) -> NoReturn:
        """After Ctrl-C: what becomes of the job, as the person says; without a person it goes on."""
        if sys.stdin.isatty() and sys.stderr.isatty() and _says_cancel():
            job.cancel()
            say(f"{job.id} is {job.state}", "yellow", error=True)
        else:
            say(f"{job.id} goes on without us. Come back with: {self.coming_back(job.id)}", "yellow", error=True)
            told = shlex.join(["interleaf", "jobs", "cancel", job.id, *self._where()])
            say(f"or stop it: {told}", "yellow", error=True)
        raise typer.Exit(INTERRUPTED)

    def _where(self) -> list[str]:
        where = ["--server", self.server] if self.server else []
        return where + (["--api-key-file", str(self.key_file)] if self.key_file else [])


def fetch_files(client: Client, job: Job, out: Path, show: Callable[[Event], None] = lambda _: None) -> list[Path]:
    """The job's files in `out`, under the names that they have when they are composed here: the document first."""
    from interleaf.schema import Event

    found = job.result.artifacts if job.result is not None else ()
    # They came in whatever order they were ready.
    ordered = sorted(found, key=lambda artifact: (artifact.format != "json", artifact.format))
    files: list[Path] = []
    for number, artifact in enumerate(ordered):
        files.append(client.artifacts.download(artifact, out / _file_name(artifact)))
        show(
            Event(
                id=10**9 + number,
                run_id=job.id,
                kind="progress",
                stage="render",
                share_done=(number + 1) / len(ordered),
                message=files[-1].name,
            )
        )
    return files


def respond(job: Job, answer: Mapping[str, Any], request_id: str | None = None) -> None:
    """Give a job the answer that `answer_of` read. InvalidBrief names what is no part of one."""
    said = dict(answer)
    action = said.pop("decision")
    known = {name: said.pop(name) for name in ("outline", "pictures") if name in said}
    if said or action not in ("approve", "edit", "cancel"):
        wrong = ", ".join(map(str, said)) or f"decision {action!r}"
        raise InvalidBrief("--answer", f"holds what is no answer: {wrong}.", "Give outline, or pictures.")
    job.respond(action, request_id=request_id, **known)


# Inside


def _as_run_event(job_id: str, event: JobEvent) -> Event | None:
    """The event as a run in this process would tell it; None for what a run does not tell, or what a newer service
    tells."""
    from pydantic import ValidationError

    from interleaf.schema import Event

    kind = _KINDS.get(event.name)
    if kind is None:
        return None
    attempt = event.data.get("attempt", 1)
    said = f"attempt {attempt}" if event.name == "job.started" and attempt != 1 else ""
    fields = {
        "id": event.id,
        "run_id": job_id,
        "kind": kind,
        "stage": event.data.get("stage"),
        "share_done": event.data.get("share_done"),
        "message": event.data.get("message") or said,
    }
    try:
        return Event.model_validate(fields)
    except ValidationError:
        return None


def _file_name(artifact: ArtifactRecord) -> str:
    """Ours, whatever the service calls the format."""
    from interleaf import approot
    from interleaf.errors import Unsupported

    approot.enter()
    from templates.press import format_of

    if artifact.format == "json":
        return "article.json"
    try:
        return format_of(artifact.format).file_name
    except Unsupported:  # a newer service knows more formats
        letters: Sequence[str] = [letter for letter in artifact.format if letter.isascii() and letter.isalnum()]
        return f"article.{''.join(letters)[:16] or 'bin'}"


def _says_cancel() -> bool:
    """Whether the person wants the job canceled. Interrupting the question means no."""
    try:
        said: str = typer.prompt(
            "\nInterrupted. Leave the job running (l), or cancel it (c)?", default="l", show_default=True, err=True
        )
    except (KeyboardInterrupt, typer.Abort):
        return False
    return said.strip().lower() in ("c", "cancel")
