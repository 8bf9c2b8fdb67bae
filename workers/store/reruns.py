"""Reruns: what is not as it was for a job that does an earlier one anew: what was asked otherwise, and what moved by
itself: the libraries, the writer, the encoders, interleaf.

It is told with the job and never in the piece: two runs from the same things give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import select

from interleaf.errors import shown
from interleaf.schema import Article, Brief, Figure, Notice, Picture, Run
from workers.store.database import Database
from workers.store.job import Job
from workers.store.tables import DocumentRow, DocumentVersionRow, JobBriefRow, JobRow

__all__ = ["COMPARED", "Earlier", "Override", "Rerun", "Reruns", "compared"]

COMPARED: Final = "rerun.compared"
"""The event that holds a Rerun, as `Rerun.written` gives it."""

MAX_GONE: Final = 20
_SHOWN_OF_HASH: Final = 12


@dataclass(frozen=True)
class Override:
    """A field of the brief that was asked otherwise; both values as JSON, cut where they are long."""

    field: str
    was: str
    now: str


@dataclass(frozen=True)
class Rerun:
    """What a rerun does otherwise than the job that it does anew."""

    of: str
    overrides: tuple[Override, ...]
    """What a person wanted otherwise."""
    notices: tuple[Notice, ...]
    """What nobody wanted and is otherwise all the same; empty when nothing has moved."""

    def written(self) -> dict[str, Any]:
        """As it is kept, in the event and in the job's result."""
        return {
            "of": self.of,
            "overrides": [{"field": one.field, "was": one.was, "now": one.now} for one in self.overrides],
            "notices": [notice.model_dump(mode="json") for notice in self.notices],
        }


@dataclass(frozen=True)
class Earlier:
    """What is known of the job that is done anew."""

    job_id: str
    brief: Mapping[str, Any] | None
    """None: it was deleted."""
    run: Run | None
    """None: it came to no piece, or was deleted."""
    shown: tuple[Picture, ...] = ()
    """The pictures that stood in its piece; none when the document was deleted."""


class Reruns:
    """Reads what earlier jobs ran with. May raise ServiceAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def earlier(self, job: Job) -> Earlier | None:
        """The job that `job` does anew; None when it does none anew."""
        if job.rerun_of is None:
            return None
        with self._database.reading() as session:
            found = session.execute(
                select(JobRow.result, JobBriefRow.brief)
                .join(JobBriefRow, JobBriefRow.job_id == JobRow.id)
                .where(JobRow.id == job.rerun_of, JobRow.owner == job.owner)
            ).one_or_none()
            written = session.scalar(
                select(DocumentVersionRow.article)
                .join(DocumentRow, DocumentVersionRow.document_id == DocumentRow.id)
                .where(
                    DocumentRow.job_id == job.rerun_of, DocumentRow.owner == job.owner, DocumentVersionRow.version == 1
                )
            )
        article = None if written is None else _article(written)
        run = None if article is None else article.run
        if found is not None and isinstance((found.result or {}).get("run"), dict):
            run = _run(found.result["run"]) or run
        return Earlier(
            job_id=job.rerun_of,
            brief=None if found is None else found.brief,
            run=run,
            shown=() if article is None else _shown_in(article),
        )


def compared(earlier: Earlier, brief: Brief, run: Run, gone: Sequence[Picture] = ()) -> Rerun:
    """What a finished rerun, asked `brief` and made with `run`, has otherwise. `gone`: pictures of the earlier piece
    that are no longer to be had."""
    overrides = () if earlier.brief is None else _overrides(earlier.brief, brief)
    if earlier.brief is None:
        notices = [_notice("unrecorded", f"{earlier.job_id} was deleted: nobody knows what has moved since")]
    elif earlier.run is None:
        notices = [_notice("unrecorded", f"{earlier.job_id} came to no piece: there is nothing to compare with")]
    else:
        notices = _moved(earlier.run, run, {one.field for one in overrides})
        if not {"libraries", "pictures", "sources"} & {one.field for one in overrides}:
            notices += _told_gone(gone)
    return Rerun(earlier.job_id, overrides, tuple(notices))


# Inside


def _overrides(was: Mapping[str, Any], now: Brief) -> tuple[Override, ...]:
    after = now.model_dump(mode="json")
    try:
        before: Mapping[str, Any] = Brief.model_validate(was).model_dump(mode="json")
    except ValidationError:  # an earlier version took what this one does not
        before = was
    return tuple(
        Override(field, _written(before.get(field)), _written(after[field]))
        for field in sorted(after)
        if before.get(field) != after[field]
    )


def _written(value: Any) -> str:
    return shown(json.dumps(value, ensure_ascii=False))


def _moved(was: Run, now: Run, overridden: Collection[str]) -> list[Notice]:
    notices: list[Notice] = []
    if was.interleaf_version != now.interleaf_version:
        notices.append(
            _notice("interleaf", f"interleaf is {now.interleaf_version} now; it was {was.interleaf_version}")
        )
    writers = [f"{run.writer}, version {run.writer_version}" for run in (was, now)]
    if writers[0] != writers[1] and "writer" not in overridden:
        notices.append(_notice("writer", f"the writer is {writers[1]} now; it was {writers[0]}"))
    encoders = [f"{run.encoder} {_short(run.encoder_sha256)}".rstrip() for run in (was, now)]
    if (was.encoder, was.encoder_sha256) != (now.encoder, now.encoder_sha256):
        notices.append(_notice("encoder", f"words are compared by {encoders[1]} now; it was {encoders[0]}"))
    same_libraries = "libraries" not in overridden
    if was.picture_encoder != now.picture_encoder and same_libraries:
        seen = [run.picture_encoder or "nothing" for run in (was, now)]
        notices.append(_notice("picture_encoder", f"pictures are looked at by {seen[1]} now; it was {seen[0]}"))
    for name in sorted({*was.libraries, *now.libraries}):
        if same_libraries and was.libraries.get(name) != now.libraries.get(name):
            states = [_state_of(name, run) for run in (was, now)]
            notices.append(_notice("library", f"library {shown(name)} is {states[1]} now; it was {states[0]}"))
    if not notices and not overridden and was.brief_sha256 != now.brief_sha256:
        read = [_short(run.brief_sha256) for run in (was, now)]
        notices.append(_notice("input", f"notes and pictures were read as {read[1]} now; it was {read[0]}"))
    return notices


def _state_of(name: str, run: Run) -> str:
    """The version of what a library held then."""
    return f"at {_short(run.libraries[name])}" if name in run.libraries else "without pictures"


def _told_gone(gone: Sequence[Picture]) -> list[Notice]:
    told = [
        _notice("picture_gone", f"picture {shown(one.name or one.id)} ({_short(one.id)}) of the earlier piece is gone")
        for one in gone[:MAX_GONE]
    ]
    if len(gone) > MAX_GONE:
        told.append(_notice("picture_gone", f"and {len(gone) - MAX_GONE} more of its pictures"))
    return told


def _notice(what: str, message: str) -> Notice:
    return Notice(code=f"rerun_{what}", message=message)


def _short(sha256: str) -> str:
    return sha256[:_SHOWN_OF_HASH]


def _article(written: Mapping[str, Any]) -> Article | None:
    try:
        return Article.model_validate(written)
    except ValidationError:  # of another version; its job's result may know more
        return None


def _run(written: Mapping[str, Any]) -> Run | None:
    try:
        return Run.model_validate(written)
    except ValidationError:
        return None


def _shown_in(article: Article) -> tuple[Picture, ...]:
    known = {picture.id: picture for picture in article.pictures}
    return tuple(
        known[block.picture_id] for block in article.blocks if isinstance(block, Figure) and block.picture_id in known
    )
