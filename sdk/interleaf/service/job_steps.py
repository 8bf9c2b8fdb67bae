"""Job steps: what takes more than one request: waiting, answering, the piece at the end, pages one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel

from interleaf.brief_file import brief_from, read_brief
from interleaf.errors import CompositionFailed, InterleafError, JobActive, NeedsInput, ObjectUnknown, RunCanceled
from interleaf.schema import Brief, Outline
from interleaf.service.brief_sending import send_files, unsent
from interleaf.service.call import Call, ask
from interleaf.service.calls import Calls
from interleaf.service.service_problem import error_of_problem
from interleaf.service.service_records import Document, EstimateRecord, JobRecord, Page
from interleaf.service.steps import Do, Give, Pause, Steps

__all__ = [
    "GivenBrief",
    "Until",
    "all_pages",
    "answer",
    "compose",
    "create",
    "document_of",
    "estimate",
    "raise_for",
    "wait",
]

M = TypeVar("M", bound=BaseModel)
GivenBrief = Brief | Mapping[str, Any] | str | Path
"""A brief, its fields, or a path of a brief file."""

Until = Literal["ended", "asked"]
FIRST_POLL_S: Final = 0.2
MOST_POLL_S: Final = 3.0


def create(calls: Calls, brief: GivenBrief, base: Path | None, **labels: Any) -> Steps[JobRecord]:
    """Send the brief's files, then the brief. Relative paths start from `base`: where the brief's file is, or the
    current folder. `labels` as of `Calls.create_job`."""
    asked, start = yield from _read(brief)
    asked = yield from send_files(calls, asked, base or start)
    return (yield from ask(calls.create_job(asked, **labels), calls.retrying))


def estimate(calls: Calls, brief: GivenBrief, base: Path | None) -> Steps[EstimateRecord]:
    """What a brief would take. Its files stay where they are; relative paths as of `create`."""
    asked, start = yield from _read(brief)
    rest = yield Do(lambda: unsent(asked, base or start))
    return (yield from ask(calls.estimate_job(rest.brief, rest.source_bytes, rest.pictures), calls.retrying))


def wait(calls: Calls, job_id: str, timeout_s: float | None, until: Until) -> Steps[JobRecord]:
    """The job when it has ended; with `asked`, or asks a person. JobActive when the time is over before."""
    began, pause_s = time.monotonic(), FIRST_POLL_S
    while True:
        job = yield from ask(calls.get_job(job_id), calls.retrying)
        if job.final or (until == "asked" and job.input is not None):
            return job
        left_s = float("inf") if timeout_s is None else timeout_s - (time.monotonic() - began)
        if left_s <= 0:
            raise JobActive(
                job_id,
                f"has not ended after {timeout_s:g} s (it is {job.state}).",
                "It goes on; wait again, or cancel it.",
            )
        yield Pause(min(pause_s * (0.75 + calls.retrying.chance() / 4), left_s))
        pause_s = min(pause_s * 1.5, MOST_POLL_S)


def answer(
    calls: Calls,
    job_id: str,
    action: str,
    outline: Outline | Mapping[str, Any] | None,
    pictures: Mapping[str, str | None] | None,
    request_id: str | None,
) -> Steps[JobRecord]:
    """Answer the question with that id, or the one that is open now."""
    if request_id is None:
        request_id = (yield from ask(calls.get_job_input(job_id), calls.retrying)).request_id
    return (yield from ask(calls.answer_job(job_id, request_id, action, outline, pictures), calls.retrying))


def raise_for(job: JobRecord) -> None:
    """Raise why a job came to nothing; a job that succeeded, is incomplete or goes on is let pass."""
    if job.state == "canceled":
        raise RunCanceled(job.id, "was canceled.", "Retry it to go on where it stopped.")
    if job.state in ("failed", "expired"):
        error: InterleafError
        if job.error is not None:
            error = error_of_problem(job.error)
        else:
            error = CompositionFailed(job.id, f"is {job.state}, and does not say why.")
        error.add_note(f"job: {job.id}")
        raise error


def document_of(calls: Calls, job: JobRecord) -> Steps[Document]:
    """What an ended job made. Raises why it made nothing; JobActive before its end."""
    raise_for(job)
    if not job.final:
        raise JobActive(job.id, f"has not ended (it is {job.state}).", "Wait for it.")
    if job.result is None or job.result.document_id is None:
        raise ObjectUnknown(f"document of {job.id}", "is not there.", "Rerun the job.")
    return (yield from ask(calls.get_document(job.result.document_id), calls.retrying))


def compose(
    calls: Calls, brief: GivenBrief, base: Path | None, timeout_s: float | None, **labels: Any
) -> Steps[Document]:
    """From a brief to its document. NeedsInput when the job asks a person, JobActive when the time is over."""
    job = yield from create(calls, brief, base, **labels)
    until = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = None if until is None else max(0.0, until - time.monotonic())
        job = yield from wait(calls, job.id, left_s, "asked")
        if job.final:
            return (yield from document_of(calls, job))
        try:
            question = yield from ask(calls.get_job_input(job.id), calls.retrying)
        except ObjectUnknown:  # somebody has answered meanwhile
            continue
        raise NeedsInput(job.id, question.question)


def all_pages(calls: Calls, page: Callable[[str | None], Call[Page[M]]]) -> Steps[None]:
    """Gives every line of a list, page after page."""
    after: str | None = None
    while True:
        found = yield from ask(page(after), calls.retrying)
        for line in found.data:
            yield Give(line)
        if not found.has_more or found.last_id is None:
            return
        after = found.last_id


def _read(brief: GivenBrief) -> Steps[tuple[Brief, Path]]:
    """The brief, and the folder from which its relative paths start."""
    if isinstance(brief, str | Path):
        path = Path(brief)
        found: tuple[Brief, Path] = yield Do(lambda: read_brief(path))
        return found
    return brief_from(brief), Path.cwd()
