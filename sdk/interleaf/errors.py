"""Every error that interleaf raises: one tree with one root.

    InterleafError                     code, retryable, http_status; the only root
    ├── RequestRefused                 the caller must change something
    │   ├── InvalidBrief               a field of the brief is wrong: field, value, remedy
    │   ├── SourceUnreadable           a note or document cannot be read: name, reason, remedy
    │   ├── PictureUnreadable          a picture cannot be decoded or exceeds a limit
    │   ├── PromptInvalid              pictures and placeholders of a prompt do not fit, or it says nothing
    │   │   └── PromptTooLong          prompt and answer do not fit into the model's context
    │   ├── LicenceUnmet               no picture satisfies the brief's licence policy
    │   ├── OutputUnwritable           the output folder cannot be written, or the disk is full
    │   ├── SettingInvalid             an environment setting is wrong: key, value, remedy
    │   ├── RunUnknown                 no run with that id in this data folder
    │   ├── RunBusy                    another process works on that run (retryable)
    │   ├── RunCanceled                a person said no when asked for approval
    │   ├── InvalidRequest             a field of a request, not of its brief, is wrong: field, value, remedy
    │   ├── JobUnknown                 no job with that id belongs to this key
    │   ├── JobFinal                   the job has ended; a final state never changes
    │   ├── JobActive                  the job has not ended yet, and must have for this
    │   ├── InputGone                  a job cannot be done anew: an upload or a library that it names is gone
    │   ├── ArtifactMissing            no file of that key in the artifact store
    │   ├── FileOverLimit              a file that was sent is larger than it may be
    │   ├── BudgetSpent                a limit of the job's budget was reached: seconds or tokens
    │   ├── BlockUnknown               an edit names a block that its version of the document does not have
    │   ├── EditRefused                an edit does not fit the block that it names: field, reason, remedy
    │   ├── VersionStale               the document has changed since it was read: its newest version is another
    │   ├── VersionUnsaid              a change that does not say which version it changes
    │   ├── SignatureRefused           a webhook's message is not signed by the service, or too old
    │   ├── RequestStale               an answer to a question that the job no longer asks
    │   ├── BodyInvalid                what was sent is not JSON, or not of the form that was announced
    │   ├── MediaUnsupported           a file, or a body, of a kind that is not taken
    │   ├── KeyRefused                 a request without a key of the service, or with one that is not known
    │   ├── ScopeMissing               the key may not do this
    │   ├── ObjectUnknown              no document, artifact, upload, library or key with that id belongs to this key
    │   ├── NameTaken                  another thing of this key has that name
    │   ├── IdempotencyMismatch        the Idempotency-Key was used for another request
    │   ├── RequestInProgress          the first request with that Idempotency-Key is still at work (retryable)
    │   ├── RequestsTooMany            more requests in a minute than the key may send (retryable)
    │   ├── QuotaReached               the key has as many jobs, or stores as much, as it may (retryable)
    │   │   └── DayQuotaReached        the key has used up what it may use on a day (retryable, after midnight UTC)
    │   ├── TargetRefused              an address of the web to which no request may go
    │   └── Unsupported                a well-formed request for something this installation lacks
    ├── NeedsInput                     the run waits for a person's answer
    ├── CompositionFailed              the workflow gave up
    │   ├── WriterMisspoke             a writer broke its contract; keeps the raw answer
    │   └── NothingToSay               the sources hold no usable text
    ├── RetrievalError                 the picture library
    │   ├── IndexUnusable              damaged, foreign, or made by another encoder
    │   ├── LibraryBusy                another process holds the library's write lock (retryable)
    │   ├── LibraryDamaged             catalog and files disagree; `library verify` says where
    │   └── PictureMissing             no picture with that id
    ├── ServiceError                   what runs the jobs: database, queue, workers
    │   ├── ServiceAway                the database or the queue cannot be reached now (retryable)
    │   │   └── NotReady               the answer of /readyz: what the service cannot do without is away (retryable)
    │   ├── QueueFull                  as many jobs wait as may wait (retryable)
    │   ├── TargetAway                 an address of the web that does not answer (retryable)
    │   ├── DatabaseUnusable           damaged, of another version, or it refused what was written
    │   ├── LeaseLost                  the job is no longer this worker's; it must stop and write nothing
    │   ├── WorkerLost                 a job's error: its workers died, as often as it may be tried (retryable)
    │   └── JobExpired                 a job's error: it did not begin in time, or nobody answered in time
    └── ModelError                     an encoder or language model
        ├── OutOfMemory                too little memory for what was asked at once (retryable)
        ├── WeightsUnusable            weights missing, damaged, or not the published ones
        │   └── CheckpointInvalid      a checkpoint that was handed over cannot become a model of ours
        ├── ModelMissing               no model of that name in the model folder
        ├── ModelBusy                  another process works on the model folder, or a model's queue is full (retryable)
        └── DownloadFailed             a model hub could not be reached, or lacks what was asked for (retryable)

Arguments are positional and JSON-simple, and all of them go to `super().__init__`, so that an
error can be rebuilt from `(type name, args)` on the other side of a queue (`from_record`).
A message names the thing, the value and the remedy.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "ArtifactMissing",
    "BlockUnknown",
    "BodyInvalid",
    "BudgetSpent",
    "CheckpointInvalid",
    "CompositionFailed",
    "DatabaseUnusable",
    "DayQuotaReached",
    "DownloadFailed",
    "EditRefused",
    "FileOverLimit",
    "IdempotencyMismatch",
    "IndexUnusable",
    "InputGone",
    "InterleafError",
    "InvalidBrief",
    "InvalidRequest",
    "JobActive",
    "JobExpired",
    "JobFinal",
    "JobUnknown",
    "KeyRefused",
    "LeaseLost",
    "LibraryBusy",
    "LibraryDamaged",
    "LicenceUnmet",
    "MediaUnsupported",
    "ModelBusy",
    "ModelError",
    "ModelMissing",
    "NameTaken",
    "NeedsInput",
    "NotReady",
    "NothingToSay",
    "ObjectUnknown",
    "OutOfMemory",
    "OutputUnwritable",
    "PictureMissing",
    "PictureUnreadable",
    "PromptInvalid",
    "PromptTooLong",
    "QueueFull",
    "QuotaReached",
    "RequestInProgress",
    "RequestRefused",
    "RequestStale",
    "RequestsTooMany",
    "RetrievalError",
    "RunBusy",
    "RunCanceled",
    "RunUnknown",
    "ScopeMissing",
    "ServiceAway",
    "ServiceError",
    "SettingInvalid",
    "SignatureRefused",
    "SourceUnreadable",
    "TargetAway",
    "TargetRefused",
    "Unsupported",
    "VersionStale",
    "VersionUnsaid",
    "WeightsUnusable",
    "WorkerLost",
    "WriterMisspoke",
    "error_from_record",
    "error_to_record",
]

MAX_SHOWN_CHARS = 120


def shown(value: object) -> str:
    """A hostile value as one safe, short line for a message: escaped, never longer than 120 characters."""
    text = str(value).encode("unicode_escape").decode("ascii") if not str(value).isprintable() else str(value)
    return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 1] + "…"


class InterleafError(Exception):
    """The root. Catch this to catch everything that interleaf raises on purpose."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    request_id: str | None = None
    """Of an error that a service told: under which its log has the request."""

    @property
    def message(self) -> str:
        """What went wrong and what to do next, in one sentence or two."""
        return ": ".join(shown(a) for a in self.args) or type(self).__name__

    def __str__(self) -> str:
        return self.message


class _ThreePart(InterleafError):
    """Errors built as (thing, value-or-reason, remedy)."""

    def __init__(self, thing: str, problem: str, remedy: str = "") -> None:
        super().__init__(thing, problem, remedy)
        self.thing, self.problem, self.remedy = thing, problem, remedy

    @property
    def message(self) -> str:
        said = f"{shown(self.thing)}: {self.problem}"
        return f"{said} {self.remedy}" if self.remedy else said


class RequestRefused(_ThreePart):
    """The caller must change something before it can work."""

    code = "request_refused"
    http_status = 422
    exit_code = 2


class InvalidBrief(RequestRefused):
    """A field of the brief is wrong. `thing` is the field's path, such as `outline.sections[2].length_words`."""

    code = "invalid_brief"


class SourceUnreadable(RequestRefused):
    """A note or document cannot be read as text."""

    code = "source_unreadable"


class PictureUnreadable(RequestRefused):
    """A picture cannot be decoded, is not what its name says, or exceeds a limit."""

    code = "picture_unreadable"


class PromptInvalid(RequestRefused):
    """A model prompt says nothing, or its pictures and placeholders do not fit one another."""

    code = "prompt_invalid"


class PromptTooLong(PromptInvalid):
    """A prompt and the answer that may follow do not fit into the model's context; the message names the lengths."""

    code = "prompt_too_long"


class LicenceUnmet(RequestRefused):
    """Pictures were asked for and none satisfies the licence policy."""

    code = "licence_unmet"


class OutputUnwritable(RequestRefused):
    """The output folder cannot be written, or the disk is full. Nothing half-written is left."""

    code = "output_unwritable"
    http_status = 507
    exit_code = 3


class SettingInvalid(RequestRefused):
    """An environment setting is wrong."""

    code = "setting_invalid"
    http_status = 500


class RunUnknown(RequestRefused):
    """No run with that id in this data folder."""

    code = "run_unknown"
    http_status = 404


class RunBusy(RequestRefused):
    """Another process works on that run."""

    code = "run_busy"
    retryable = True
    http_status = 409
    exit_code = 5


class RunCanceled(RequestRefused):
    """A person said no when the workflow asked for approval."""

    code = "run_canceled"
    http_status = 409
    exit_code = 6


class InvalidRequest(RequestRefused):
    """A field of a request is wrong. `thing` is the field's name, such as `metadata.team` or `limit`."""

    code = "invalid_request"


class JobUnknown(RequestRefused):
    """No job with that id, or it belongs to another key: the two are not told apart."""

    code = "job_unknown"
    http_status = 404


class JobFinal(RequestRefused):
    """The job has ended; a final state never changes."""

    code = "job_final"
    http_status = 409


class JobActive(RequestRefused):
    """The job, or another job that works on the same run, has not ended yet."""

    code = "job_active"
    http_status = 409


class InputGone(RequestRefused):
    """A job cannot be done anew: an upload expired, or a library was deleted, that its brief names."""

    code = "input_gone"
    http_status = 409


class ArtifactMissing(RequestRefused):
    """No file of that key in the artifact store."""

    code = "artifact_missing"
    http_status = 404


class FileOverLimit(RequestRefused):
    """A file that was sent is larger than it may be. Nothing of it is kept."""

    code = "file_over_limit"
    http_status = 413


class BudgetSpent(RequestRefused):
    """A limit of the job's budget was reached: seconds or tokens."""

    code = "budget_spent"


class BlockUnknown(RequestRefused):
    """(block id, problem, remedy): the version that is edited has no such block."""

    code = "block_unknown"
    http_status = 404


class EditRefused(RequestRefused):
    """(field, problem, remedy): the edit is well-formed and does not fit the block that it names."""

    code = "edit_refused"
    http_status = 422


class VersionStale(RequestRefused):
    """(document or schedule, problem, remedy): somebody changed it since it was read."""

    code = "version_stale"
    http_status = 412


class VersionUnsaid(RequestRefused):
    """(header, problem, remedy): a change must say which version it changes, or it might undo somebody else's."""

    code = "version_unsaid"
    http_status = 428


class SignatureRefused(RequestRefused):
    """(header or `message`, problem, remedy): what says it is a webhook's is not the service's, or too old."""

    code = "signature_refused"
    http_status = 400


class RequestStale(RequestRefused):
    """An answer to a question that the job no longer asks, or that was answered already."""

    code = "request_stale"
    http_status = 409


class BodyInvalid(RequestRefused):
    """What was sent cannot be read: no JSON, or not of the form that was announced."""

    code = "body_invalid"
    http_status = 400


class MediaUnsupported(RequestRefused):
    """A file, or the body of a request, is of a kind that is not taken."""

    code = "media_unsupported"
    http_status = 415


class KeyRefused(RequestRefused):
    """The request has no key of this service, or one that is unknown or revoked: the two are not told apart."""

    code = "key_refused"
    http_status = 401


class ScopeMissing(RequestRefused):
    """The key may not do this."""

    code = "scope_missing"
    http_status = 403


class ObjectUnknown(RequestRefused):
    """No such thing (document, artifact, upload, library, key), or it is another key's: the two are not told apart."""

    code = "object_unknown"
    http_status = 404


class NameTaken(RequestRefused):
    """Another thing of this key, of the same kind, has that name."""

    code = "name_taken"
    http_status = 409


class IdempotencyMismatch(RequestRefused):
    """The Idempotency-Key was used before, for another request."""

    code = "idempotency_mismatch"


class RequestInProgress(RequestRefused):
    """The first request with that Idempotency-Key is still at work."""

    code = "request_in_progress"
    retryable = True
    http_status = 409
    exit_code = 5


class RequestsTooMany(RequestRefused):
    """More requests in a short time than the key may send."""

    code = "requests_too_many"
    retryable = True
    http_status = 429
    exit_code = 5


class QuotaReached(RequestRefused):
    """The key has as many jobs at a time, or stores as much, as it may."""

    code = "quota_reached"
    retryable = True
    http_status = 429
    exit_code = 5


class DayQuotaReached(QuotaReached):
    """The key has used up what it may use on a day (UTC): jobs, seconds of work, or tokens.

    `quota` names it, such as `max_jobs_per_day`; `limit` and `used` are in its unit; `free_at` is when the next day
    begins, as ISO 8601, and `wait_s` the seconds from the refusal until then.
    """

    code = "day_quota_reached"

    def __init__(
        self,
        thing: str,
        problem: str,
        remedy: str = "",
        quota: str = "",
        limit: int = 0,
        used: float = 0,
        free_at: str = "",
        wait_s: int = 0,
    ) -> None:
        super().__init__(thing, problem, remedy)
        self.args = (thing, problem, remedy, quota, limit, used, free_at, wait_s)
        self.quota, self.limit, self.used, self.free_at, self.wait_s = quota, limit, used, free_at, wait_s


class TargetRefused(RequestRefused):
    """An address of the web to which no request may go, or a request that may not be sent there."""

    code = "target_refused"


class Unsupported(RequestRefused):
    """A well-formed request for something that this installation does not offer."""

    code = "unsupported"
    http_status = 501


class NeedsInput(InterleafError):
    """The run stopped to ask a person; answer with `Composer.resume(run_id, answer)`, days later if need be."""

    code = "needs_input"
    http_status = 409
    exit_code = 7

    def __init__(self, run_id: str, question: dict[str, Any]) -> None:
        super().__init__(run_id, question)
        self.run_id, self.question = run_id, question

    @property
    def message(self) -> str:
        return f"run {self.run_id} waits for approval of the {self.question.get('asks')}"


class CompositionFailed(_ThreePart):
    """The workflow gave up."""

    code = "composition_failed"
    exit_code = 4


class WriterMisspoke(CompositionFailed):
    """A writer's answer broke its contract after the allowed repairs; `raw` keeps what it said."""

    code = "writer_misspoke"

    def __init__(self, thing: str, problem: str, remedy: str = "", raw: str = "") -> None:
        super().__init__(thing, problem, remedy)
        self.args = (thing, problem, remedy, raw)
        self.raw = raw


class NothingToSay(CompositionFailed):
    """The sources hold no text that the writer could use."""

    code = "nothing_to_say"
    http_status = 422
    exit_code = 2


class RetrievalError(_ThreePart):
    """The picture library cannot do what was asked."""

    code = "retrieval_error"


class IndexUnusable(RetrievalError):
    """An index file is damaged, was not written by interleaf, or belongs to another encoder."""

    code = "index_unusable"


class LibraryBusy(RetrievalError):
    """Another process holds the library's write lock."""

    code = "library_busy"
    retryable = True
    http_status = 503


class LibraryDamaged(RetrievalError):
    """Catalog, pictures and index disagree."""

    code = "library_damaged"


class PictureMissing(RetrievalError):
    """The library has no picture with that id."""

    code = "picture_missing"
    http_status = 404
    exit_code = 2


class ServiceError(_ThreePart):
    """What keeps and runs the jobs failed: the database, the queue, or a worker."""

    code = "service_error"


class ServiceAway(ServiceError):
    """The database or the queue cannot be reached now, or has no room; nothing was written."""

    code = "service_away"
    retryable = True
    http_status = 503
    exit_code = 5


class NotReady(ServiceAway):
    """What the service cannot do without is away: the database or the file store. It is named, not described."""

    code = "not_ready"


class QueueFull(ServiceError):
    """As many jobs wait as may wait; nothing was taken in."""

    code = "queue_full"
    retryable = True
    http_status = 503
    exit_code = 5


class TargetAway(ServiceError):
    """An address of the web has no host, cannot be reached, or did not answer in time."""

    code = "target_away"
    retryable = True
    http_status = 502
    exit_code = 5


class DatabaseUnusable(ServiceError):
    """The database is damaged, has the schema of another version, or refused what was written."""

    code = "database_unusable"


class LeaseLost(ServiceError):
    """The job is no longer this worker's. Whoever gets this stops at once and writes nothing more."""

    code = "lease_lost"
    http_status = 409


class WorkerLost(ServiceError):
    """Why a job failed: its workers stopped without a word, as many times as it may be tried."""

    code = "worker_lost"
    retryable = True


class JobExpired(ServiceError):
    """Why a job expired: it did not begin in time, or nobody answered its question in time."""

    code = "job_expired"
    http_status = 410


class ModelError(_ThreePart):
    """An encoder or a language model failed."""

    code = "model_error"


class OutOfMemory(ModelError):
    """The model's device has too little memory for what was asked at once; fewer requests at a time may do."""

    code = "out_of_memory"
    retryable = True
    http_status = 503


class WeightsUnusable(ModelError):
    """Weights are missing, damaged, or not the published ones."""

    code = "weights_unusable"


class CheckpointInvalid(WeightsUnusable):
    """A checkpoint that was handed over is incomplete, damaged, of another family, or wants more than tensors."""

    code = "checkpoint_invalid"
    http_status = 422
    exit_code = 2


class ModelMissing(ModelError):
    """The model folder has no model of that name."""

    code = "model_missing"
    http_status = 404
    exit_code = 2


class ModelBusy(ModelError):
    """Another process works on the model folder, or a model has as many requests as may wait for it."""

    code = "model_busy"
    retryable = True
    http_status = 503
    exit_code = 5


class DownloadFailed(ModelError):
    """A model hub could not be reached, or does not have what was asked for."""

    code = "download_failed"
    retryable = True
    http_status = 502


def _tree(root: type[InterleafError]) -> dict[str, type[InterleafError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


def error_to_record(error: InterleafError) -> dict[str, Any]:
    """An error as JSON-simple data: `{"type", "code", "args", "message"}`."""
    return {"type": type(error).__name__, "code": error.code, "args": list(error.args), "message": error.message}


def error_from_record(record: dict[str, Any]) -> InterleafError:
    """The error that `error_to_record` wrote; an unknown type comes back as the root."""
    kind = _tree(InterleafError).get(str(record.get("type")), InterleafError)
    return kind(*record.get("args", ()))
