"""Rendering: one format of a finished piece, as a task of its own; whoever ends last ends the job."""

from __future__ import annotations

import logging
from dataclasses import replace
from hashlib import sha256
from typing import Final

from interleaf.errors import CompositionFailed, InterleafError, LeaseLost, ServiceAway
from interleaf.schema import Article, Brief
from templates.press import format_of, render
from workers.run.picture_shelf import PictureShelf
from workers.run.run_folder import RunFolder
from workers.store.artifacts import StoredFile
from workers.store.job import Claim, Job
from workers.store.job_store import JobStore

__all__ = ["JSON_TYPE", "article_json", "render_format", "rendered", "store_file", "wanted_formats"]

log = logging.getLogger(__name__)

JSON_TYPE: Final = "application/json"


def wanted_formats(brief: Brief) -> tuple[str, ...]:
    """The formats that are to be rendered, none twice. The article's own JSON is kept in any case."""
    return tuple(dict.fromkeys(name for name in brief.formats if name != "json"))


def store_file(store: JobStore, job: Job, content: bytes) -> StoredFile:
    """Keep a job's file under a key that follows from its content: a second writer of the same is harmless."""
    return store.artifacts.put(f"jobs/{job.id}/{sha256(content).hexdigest()}", [content])


def render_format(store: JobStore, job_id: str, attempt: int, worker: str, format: str) -> Job | None:
    """Render one format for the worker that holds the job; the job, if that was the last one and ended it.

    A message for an attempt that is over does nothing. ServiceAway: nothing was written; the message is sent again.
    """
    job = store.results.job(job_id)
    if job is None or job.attempt != attempt or job.lease_owner != worker or job.state != "running":
        return None
    claim = Claim(replace(job, attempt=attempt), worker, store.settings.lease_s)
    document = store.results.document_of(job_id)
    if document is None:
        return None
    brief = Brief.model_validate(store.results.brief(job_id))
    wanted = wanted_formats(brief)
    try:
        if format in store.results.outcomes(claim):
            return store.results.settle(claim, wanted)
        try:
            folder = RunFolder.at(store.settings.runs_dir, job.run_id)
            content, media_type = rendered(store, folder, job, document.article, format, brief.theme)
            file = store_file(store, job, content)
        except (LeaseLost, ServiceAway):
            raise
        except InterleafError as error:
            return store.results.keep_failure(claim, format, error, wanted)
        return store.results.keep_file(claim, document.id, format, media_type, file, wanted)
    except LeaseLost as error:
        log.info("%s", error)
        return None


def article_json(article: Article) -> bytes:
    """The file of an article in the format json."""
    return (article.model_dump_json(indent=1) + "\n").encode()


def rendered(
    store: JobStore, folder: RunFolder | None, job: Job, article: Article, format: str, theme: str
) -> tuple[bytes, str]:
    """The file's bytes and their media type. `folder`: of the run that made the piece. Errors as `templates.press`."""
    try:
        shelf = PictureShelf(folder, store.settings.libraries_dir / job.owner)
        return render(article, shelf, format, theme), format_of(format).media_type
    except InterleafError:
        raise
    except Exception as error:
        log.exception("format %s of job %s", format, job.id)
        raise CompositionFailed(
            format, f"could not be rendered: an error of this program ({type(error).__name__}).", "Please report it."
        ) from error
