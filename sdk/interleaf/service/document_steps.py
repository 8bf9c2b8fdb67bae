"""Document steps: what takes more than one request of a document: an edit to its end, the files of a version."""

from __future__ import annotations

import time
from typing import Any

from interleaf.errors import JobUnknown, ObjectUnknown
from interleaf.given_edit import GivenEdit
from interleaf.service import document_calls
from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.document_calls import id_of
from interleaf.service.job_steps import raise_for, wait
from interleaf.service.service_records import Document, DocumentLine, JobRecord
from interleaf.service.steps import Steps

__all__ = ["edit", "rendered"]


def edit(
    calls: Calls, document: DocumentLine, given: GivenEdit, timeout_s: float | None, **said: Any
) -> Steps[Document]:
    """Carry an edit out, and wait for the job where it takes one: the new version. JobActive when the time is over; the
    job goes on."""
    made = yield from ask(document_calls.edit_document(document, given, **said), calls.retrying)
    if isinstance(made, Document):
        return made
    job: JobRecord = yield from wait(calls, made.id, timeout_s, "ended")
    raise_for(job)
    version = (job.result.report or {}).get("version") if job.result is not None else None
    if not isinstance(version, int):
        raise ObjectUnknown(f"version of {job.id}", "is not told.", "Read the document.")
    newest = yield from ask(calls.get_document(document.id), calls.retrying)
    if newest.version == version:
        return newest
    # Somebody has edited it further meanwhile.
    return (yield from ask(document_calls.get_version(document.id, version), calls.retrying))


def rendered(calls: Calls, document: DocumentLine | str, timeout_s: float | None) -> Steps[Document]:
    """The newest version when its files are made, or their job has ended otherwise. JobActive when the time is over."""
    until = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        newest = yield from ask(calls.get_document(id_of(document)), calls.retrying)
        if newest.render_job_id is None:
            return newest
        left_s = None if until is None else max(0.0, until - time.monotonic())
        try:
            yield from wait(calls, newest.render_job_id, left_s, "ended")
        except JobUnknown:  # deleted meanwhile
            continue
