"""Service records: what the service tells of jobs, events, documents, files, uploads and keys, as frozen values.

A newer service may tell more than this version knows: fields that are unknown here are left out, not refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from interleaf.errors import Unsupported
from interleaf.schema import Article

__all__ = [
    "FINAL_STATES",
    "Alternatives",
    "ApiKeyRecord",
    "ArtifactRecord",
    "ChangeRecord",
    "DeliveryAttempt",
    "DiffRecord",
    "Document",
    "DocumentLine",
    "EstimateRecord",
    "EventList",
    "FieldProblem",
    "FieldRecord",
    "HitList",
    "HitRecord",
    "JobAsks",
    "JobEvent",
    "JobProgress",
    "JobRecord",
    "JobRerun",
    "JobResult",
    "JobRun",
    "JobState",
    "JobUse",
    "LibraryRecord",
    "NewApiKey",
    "NewWebhook",
    "NewWebhookSecret",
    "Page",
    "PictureRecord",
    "PlacedPictureRecord",
    "Problem",
    "Question",
    "QuotaProblem",
    "RerunNotice",
    "RerunOverride",
    "ScheduleLine",
    "ScheduleRecord",
    "ScheduleRunRecord",
    "SpanRecord",
    "TimeList",
    "UploadRecord",
    "VersionRecord",
    "WebhookDelivery",
    "WebhookDeliveryLine",
    "WebhookRecord",
    "WebhookSecret",
    "WordsRecord",
]

JobState = Literal[
    "queued", "running", "awaiting_input", "canceling", "succeeded", "incomplete", "failed", "canceled", "expired"
]
FINAL_STATES: Final = frozenset({"succeeded", "incomplete", "failed", "canceled", "expired"})


class Record(BaseModel):
    """A frozen value that passes over what it does not know."""

    model_config = ConfigDict(extra="ignore", frozen=True)


R = TypeVar("R", bound=BaseModel)


class FieldProblem(Record):
    """One field of a request that is wrong; of the three places one is set."""

    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None
    detail: str


class QuotaProblem(Record):
    """A quota of the key that is used up, and when there is room again."""

    name: str
    limit: int
    used: float
    free_at: datetime


class Problem(Record):
    """An error as the service tells it (RFC 9457)."""

    type: str = "about:blank"
    title: str = ""
    status: int
    detail: str = ""
    code: str
    instance: str | None = None
    request_id: str | None = None
    errors: tuple[FieldProblem, ...] | None = None
    quota: QuotaProblem | None = None


class ArtifactRecord(Record):
    """A file that a job made."""

    id: str
    format: str
    media_type: str
    bytes: int
    sha256: str
    url: str
    document_id: str | None = None
    version: int | None = None
    created_at: datetime


class JobProgress(Record):
    """How far a job is: `share_done` is 0 to 1 within the stage, None when unknown."""

    stage: str | None = None
    share_done: float | None = None
    message: str = ""


class JobUse(Record):
    """What a job has used, over all attempts."""

    seconds: float
    tokens: int


class JobAsks(Record):
    """That a job waits for a person; `Job.question` shows what for."""

    request_id: str
    asks: str | None = None
    deadline: datetime | None = None
    url: str


class JobRun(Record):
    """What a piece was made with: enough to make it again. `libraries`: each that was searched, and a hash of what it
    held at that time."""

    interleaf_version: str
    writer: str
    writer_version: str
    encoder: str
    encoder_sha256: str = ""
    picture_encoder: str = ""
    seed: int = 0
    brief_sha256: str
    libraries: dict[str, str] = Field(default_factory=dict)


class RerunOverride(Record):
    """A field of the brief that was asked otherwise; both values as JSON, cut where they are long."""

    field: str
    was: str
    now: str


class RerunNotice(Record):
    """Something that nobody wanted otherwise, and is: a code such as `rerun_library`, and a sentence."""

    code: str
    message: str


class JobRerun(Record):
    """What a rerun has otherwise than the job that it does anew. Without any of both it has the same bytes."""

    of: str
    overrides: tuple[RerunOverride, ...] = ()
    notices: tuple[RerunNotice, ...] = ()


class JobResult(Record):
    """What came of a job; files appear while it is still running. `run`, and `rerun` of a rerun, come with the end."""

    document_id: str | None = None
    artifacts: tuple[ArtifactRecord, ...] = ()
    report: dict[str, Any] | None = None
    run: JobRun | None = None
    rerun: JobRerun | None = None


class JobRecord(Record):
    """A job at one moment; times are UTC, one for each move."""

    id: str
    kind: str
    state: JobState
    attempt: int
    max_attempts: int
    metadata: dict[str, str]
    external_id: str | None = None
    retry_of: str | None = None
    rerun_of: str | None = None
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None = None
    awaiting_at: datetime | None = None
    canceling_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    progress: JobProgress
    use: JobUse
    last_event_id: int
    input: JobAsks | None = None
    result: JobResult | None = None
    error: Problem | None = None

    @property
    def final(self) -> bool:
        """Whether it has ended; a final state never changes."""
        return self.state in FINAL_STATES


class JobEvent(Record):
    """One event. Ids rise by one; `gap`, without a time, says that those before `data["first_id"]` are gone."""

    id: int
    name: str
    at: datetime | None = None
    data: dict[str, Any] = Field(default_factory=dict)

    @property
    def final(self) -> bool:
        """Whether it says that the job has ended, so that nothing follows."""
        kind, _, state = self.name.partition(".")
        return kind == "job" and state in FINAL_STATES


class EventList(Record):
    """Events after a position, for pollers."""

    data: tuple[JobEvent, ...]
    gap_until: int | None = None
    last_id: int
    ended: bool


class SpanRecord(Record):
    """A number that is not known yet. `error`: the median of how far off such estimates were, as a share of the truth;
    None while there is too little to judge by."""

    low: float
    likely: float
    high: float
    error: float | None = None


class EstimateRecord(Record):
    """What an order would probably take. `basis`: how many past jobs say so, 0 for a guess; `basis_of`: whose."""

    seconds: SpanRecord
    tokens: SpanRecord
    pictures: SpanRecord
    basis: int
    basis_of: str
    writer: str


class Question(Record):
    """What a job asks a person."""

    job_id: str
    request_id: str
    asks: str | None = None
    question: dict[str, Any]
    actions: tuple[str, ...]
    answer_schema: dict[str, Any] = Field(default_factory=dict)
    """JSON Schema of the answer that is sent, for forms."""
    deadline: datetime | None = None
    on_timeout: str | None = None


class DocumentLine(Record):
    """A document in a list, without its blocks."""

    id: str
    title: str
    version: int
    job_id: str | None = None
    created_at: datetime
    publish_at: datetime | None = None
    published_at: datetime | None = None


class Document(DocumentLine):
    """A finished piece with its files."""

    content: dict[str, Any] = Field(alias="article")
    artifacts: tuple[ArtifactRecord, ...] = ()
    render_job_id: str | None = None
    """The job that makes the files that the newest version lacks, while it is at it."""

    @property
    def article(self) -> Article:
        """The piece with its blocks. Unsupported when a newer service wrote it in a way that is not known here;
        `content` has it as it came."""
        try:
            return Article.model_validate(self.content)
        except ValidationError as error:
            raise Unsupported(
                f"document {self.id}", "is written in a way that this version does not know.", "Upgrade interleaf."
            ) from error

    def artifact(self, format: str) -> ArtifactRecord:
        """The file of that format. Unsupported when there is none."""
        for one in self.artifacts:
            if one.format == format:
                return one
        known = ", ".join(sorted(one.format for one in self.artifacts)) or "none"
        raise Unsupported(f"document {self.id}", f"has no file of format {format!r}.", f"There are: {known}.")


class VersionRecord(Record):
    """A version of a document in a list: `how` is made, edit, undo, redo or restore; `same_as` is the version that the
    last three repeat."""

    version: int
    how: str
    same_as: int | None = None
    edit: dict[str, Any] | None = None
    job_id: str | None = None
    created_at: datetime
    title: str = ""
    words: int | None = None


class WordsRecord(Record):
    """A run of words that both versions have (`same`), or one of them (`removed`, `added`)."""

    kind: str
    text: str


class FieldRecord(Record):
    """A field of a block that differs."""

    name: str
    words: tuple[WordsRecord, ...]


class ChangeRecord(Record):
    """What became of a block: `kind` is added, removed, moved or changed."""

    kind: str
    block_id: str
    block_type: str
    preview: str = ""
    fields: tuple[FieldRecord, ...] = ()


class DiffRecord(Record):
    """What changed between two versions; `text` says it for people."""

    document_id: str
    from_version: int
    to_version: int
    changes: tuple[ChangeRecord, ...]
    text: str = ""


class PlacedPictureRecord(Record):
    """A picture that stands in a place of a piece, or might; an edit names it by `id` as its `picture_id`."""

    id: str
    score: float
    caption: str = ""
    alt: str = ""
    author: str | None = None
    licence: str | None = None
    source_url: str | None = None
    media_type: str
    width_px: int
    height_px: int
    url: str


class Alternatives(Record):
    """The picture of a figure, why it stands there, and those that were considered for its place."""

    document_id: str
    version: int
    block_id: str
    picture: PlacedPictureRecord
    reason: str = ""
    alternatives: tuple[PlacedPictureRecord, ...] = ()


class UploadRecord(Record):
    """A file that was sent; a brief names it by `reference`."""

    id: str
    reference: str
    name: str
    media_type: str
    bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None


class LibraryRecord(Record):
    """A picture library. `picture_count` and `bytes` are as the last ingest, or the last removal, left them."""

    id: str
    name: str
    description: str = ""
    picture_count: int
    bytes: int
    encoder: str | None = None
    created_at: datetime
    changed_at: datetime


class PictureRecord(Record):
    """A picture of a library, without its pixels. `id` is the SHA-256 of its pixels."""

    id: str
    library_id: str
    media_type: str
    width_px: int
    height_px: int
    size_bytes: int
    name: str = ""
    caption: str = ""
    caption_origin: str = "none"
    alt: str = ""
    keywords: tuple[str, ...] = ()
    author: str | None = None
    licence: str | None = None
    source_url: str | None = None
    taken_at: datetime | None = None
    perceptual_hash: str = ""
    url: str


class HitRecord(Record):
    """A picture that was found; `score` is 0 to 1, higher is better, comparable within one search."""

    picture: PictureRecord
    score: float
    lexical_score: float | None = None
    vector_score: float | None = None
    pixel_score: float | None = None


class HitList(Record):
    """What was found, best first."""

    hits: tuple[HitRecord, ...]


class ScheduleRunRecord(Record):
    """What became of a time of a schedule, or of a run by hand: waiting, ordered, skipped, missed or failed."""

    id: str
    due_at: datetime
    by_hand: bool
    outcome: str
    decided_at: datetime
    number: int | None = None
    job_id: str | None = None
    publish_at: datetime | None = None
    missed_count: int = 0
    error: Problem | None = None


class ScheduleLine(Record):
    """A schedule in a list, without its brief. `version` rises with each change by its owner."""

    id: str
    name: str
    cron: str | None = None
    at: datetime | None = None
    time_zone: str
    overlap: str
    catch_up_s: int
    jitter_s: int
    publish_after_s: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    paused_at: datetime | None = None
    next_due_at: datetime | None = None
    version: int
    run_count: int
    created_at: datetime
    updated_at: datetime


class ScheduleRecord(ScheduleLine):
    """A schedule with its brief, its next five times (in its time zone) and its last five runs."""

    brief: dict[str, Any]
    variables: dict[str, Any] = Field(default_factory=dict)
    next_times: tuple[datetime, ...] = ()
    last_runs: tuple[ScheduleRunRecord, ...] = ()


class TimeList(Record):
    """Times at which a timetable is due, in its time zone."""

    times: tuple[datetime, ...]


class WebhookSecret(Record):
    """A secret of a webhook, without itself."""

    id: str
    created_at: datetime


class NewWebhookSecret(WebhookSecret):
    """A secret that was just made; it is told this once."""

    secret: str = Field(repr=False)


class WebhookRecord(Record):
    """An address that is told of events. `disabled_at`: since when nothing is sent; None: it is on."""

    id: str
    url: str
    events: tuple[str, ...]
    description: str = ""
    secrets: tuple[WebhookSecret, ...] = ()
    created_at: datetime
    disabled_at: datetime | None = None
    disabled_why: str = ""


class NewWebhook(WebhookRecord):
    """A webhook that was just made; the secret is told this once."""

    secret: str = Field(repr=False)


class DeliveryAttempt(Record):
    """One attempt to deliver a message. `status`: what was answered; None: nothing was. `error` is empty when it was
    taken."""

    number: int
    at: datetime
    seconds: float
    status: int | None = None
    error: str = ""


class WebhookDeliveryLine(Record):
    """A message to a webhook: pending, delivered or failed. `next_at`: when it is tried next; None: not any more."""

    id: str
    webhook_id: str
    event: str
    state: str
    attempt_count: int
    next_at: datetime | None = None
    created_at: datetime


class WebhookDelivery(WebhookDeliveryLine):
    """A message with its body (type, timestamp, data) and the last attempts to deliver it, the newest last."""

    message: dict[str, Any]
    attempts: tuple[DeliveryAttempt, ...] = ()


class ApiKeyRecord(Record):
    """A key of the service, without its secret."""

    id: str
    prefix: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None
    max_active_jobs: int | None = None
    max_stored_bytes: int | None = None
    requests_per_minute: int | None = None
    max_jobs_per_day: int | None = None
    max_seconds_per_day: int | None = None
    max_tokens_per_day: int | None = None


class NewApiKey(ApiKeyRecord):
    """A key that was just made; the secret is told this once."""

    secret: str = Field(repr=False)


class Page(Record, Generic[R]):
    """One page of a list, newest first. `last_id` given as `after` asks for the page of older ones."""

    data: tuple[R, ...]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None
