"""Job view: a job as the service tells it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.problems import Problem, problem_of_record
from workers.store.job import Job
from workers.store.job_transitions import JobState
from workers.store.pieces import Artifact

__all__ = ["ArtifactView", "JobView", "job_view"]


class ArtifactView(BaseModel):
    """A file that a job made."""

    id: str
    format: str = Field(description="As the brief's formats name it: html, md, …")
    media_type: str
    bytes: int
    sha256: str = Field(description="In hexadecimal")
    url: str = Field(description="Where it is, as a path of this service")
    document_id: str | None = None
    version: int | None = Field(None, description="Of the document: the first that has this file")
    created_at: datetime

    @classmethod
    def of(cls, artifact: Artifact) -> ArtifactView:
        return cls(
            id=artifact.id,
            format=artifact.format,
            media_type=artifact.media_type,
            bytes=artifact.bytes,
            sha256=artifact.sha256,
            url=f"/v1/artifacts/{artifact.id}",
            document_id=artifact.document_id,
            version=artifact.version,
            created_at=artifact.created_at,
        )


class JobProgress(BaseModel):
    """How far it is."""

    stage: str | None = Field(description="read, plan, draft, spot, caption, retrieve, choose, review, …")
    share_done: float | None = Field(description="0 to 1 within the stage; null when unknown")
    message: str


class JobUse(BaseModel):
    """What it has used, over all attempts."""

    seconds: float
    tokens: int


class JobAsks(BaseModel):
    """That it waits for a person; GET input shows what for."""

    request_id: str
    asks: str | None = Field(description="outline or pictures")
    deadline: datetime | None
    url: str


class JobRun(BaseModel):
    """What a piece was made with: enough to make it again."""

    interleaf_version: str
    writer: str
    writer_version: str = Field(description="Of a model: its prompts, and a hash of its weights")
    encoder: str = Field(description="By which words are compared")
    encoder_sha256: str = ""
    picture_encoder: str = Field("", description="By which pictures of libraries are looked at; empty without one")
    seed: int = 0
    brief_sha256: str = Field(description="Of the brief, its notes and pictures as they were read")
    libraries: dict[str, str] = Field(
        default_factory=dict, description="Library that was searched → hash of its contents at that time"
    )


class RerunOverride(BaseModel):
    """A field of the brief that was asked otherwise."""

    field: str
    was: str = Field(description="As JSON, cut where it is long")
    now: str


class RerunNotice(BaseModel):
    """Something that nobody wanted otherwise, and is."""

    code: str = Field(
        description="rerun_library, rerun_writer, rerun_encoder, rerun_picture_encoder, rerun_interleaf, rerun_input, "
        "rerun_picture_gone; rerun_unrecorded: there is nothing to compare with"
    )
    message: str = Field(description="In a sentence, with what it is now and what it was")


class JobRerun(BaseModel):
    """What a rerun has otherwise than the job that it does anew."""

    of: str
    overrides: list[RerunOverride]
    notices: list[RerunNotice] = Field(description="Empty when nothing has moved: without overrides, the same bytes")


class JobResult(BaseModel):
    """What came of it; files appear while it is still running."""

    document_id: str | None
    artifacts: list[ArtifactView]
    report: dict[str, Any] | None = Field(
        None, description="The piece in numbers: words, pictures_placed, …; failed_formats"
    )
    run: JobRun | None = Field(None, description="What the piece was made with; null before the end")
    rerun: JobRerun | None = Field(None, description="Of a rerun: what was not as it was; null before the end")


class JobView(BaseModel):
    """A job at one moment. Times are UTC, one for each move."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "job_01kaj5v1c8m2n4p6q8r0s2t4v6",
                    "kind": "article",
                    "state": "queued",
                    "attempt": 0,
                    "max_attempts": 3,
                    "metadata": {"team": "harbour"},
                    "external_id": None,
                    "retry_of": None,
                    "rerun_of": None,
                    "created_at": "2026-01-31T12:00:00Z",
                    "queued_at": "2026-01-31T12:00:00Z",
                    "started_at": None,
                    "awaiting_at": None,
                    "canceling_at": None,
                    "finished_at": None,
                    "expires_at": None,
                    "progress": {"stage": None, "share_done": None, "message": ""},
                    "use": {"seconds": 0.0, "tokens": 0},
                    "last_event_id": 1,
                    "input": None,
                    "result": None,
                    "error": None,
                }
            ]
        }
    )

    id: str
    kind: str
    state: JobState
    attempt: int = Field(description="How many times a worker has taken it")
    max_attempts: int = Field(description="It fails when so many workers have died on it")
    metadata: dict[str, str]
    external_id: str | None
    retry_of: str | None
    rerun_of: str | None
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None
    awaiting_at: datetime | None
    canceling_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    progress: JobProgress
    use: JobUse
    last_event_id: int = Field(description="Id of its newest event")
    input: JobAsks | None
    result: JobResult | None
    error: Problem | None = Field(description="Why it failed or expired")


def job_view(job: Job, artifacts: tuple[Artifact, ...] = ()) -> JobView:
    """The view of a job and of the files that it has made so far."""
    asks = None
    if job.state == "awaiting_input" and job.answered_at is None and job.request_id is not None:
        said = (job.question or {}).get("asks")
        asks = JobAsks(
            request_id=job.request_id,
            asks=said if isinstance(said, str) else None,
            deadline=job.input_deadline,
            url=f"/v1/jobs/{job.id}/input",
        )
    result = None
    if job.result is not None or artifacts:
        told = dict(job.result or {})
        document_id = told.pop("document_id", None)
        told.pop("artifacts", None)
        run, rerun = told.pop("run", None), told.pop("rerun", None)
        told |= told.pop("report", {})
        result = JobResult(
            document_id=document_id,
            artifacts=[ArtifactView.of(one) for one in artifacts],
            report=told or None,
            run=run,
            rerun=rerun,
        )
    return JobView(
        id=job.id,
        kind=job.kind,
        state=job.state,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        metadata=dict(job.metadata),
        external_id=job.external_id,
        retry_of=job.retry_of,
        rerun_of=job.rerun_of,
        created_at=job.created_at,
        queued_at=job.queued_at,
        started_at=job.started_at,
        awaiting_at=job.awaiting_at,
        canceling_at=job.canceling_at,
        finished_at=job.finished_at,
        expires_at=job.expires_at,
        progress=JobProgress(stage=job.stage, share_done=job.share_done, message=job.message),
        use=JobUse(seconds=job.seconds_used, tokens=job.tokens_used),
        last_event_id=job.event_count,
        input=asks,
        result=result,
        error=None if job.error is None else problem_of_record(job.error),
    )
