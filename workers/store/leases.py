"""Leases: what a worker does with a job: claim it, keep it with a heartbeat, tell, ask, and hand it over at the end.

A claim is fenced by the job's attempt: every statement that writes for a worker carries it as a condition, so a worker
that was given up and comes back later (a long pause, SIGSTOP) can change nothing any more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy.orm import Session

from interleaf.errors import InterleafError, LeaseLost, RunCanceled, error_to_record
from interleaf.text import clean_line
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import is_id, new_id
from workers.store.job import Claim, Job, OnTimeout, Use
from workers.store.job_moves import JOBS, move, state_is, tell, write
from workers.store.ledger import Amounts, account
from workers.store.tables import JobEventRow, JobRow

__all__ = ["NOTHING", "Ending", "Leases", "Note", "Order"]

Order = Literal["go_on", "cancel"]
"""What a worker is to do next. After `cancel` it stops soon and calls `finish` with whatever state it reached."""

Ending = Literal["succeeded", "incomplete", "failed", "canceled"]

MAX_MESSAGE_CHARS: Final = 4_000
NOTHING: Final = Use()

# `job.` belongs to the store.
_NOTE: Final = re.compile(r"(?!job\.)[a-z][a-z_]*(\.[a-z][a-z_]*){0,3}")


@dataclass(frozen=True)
class Note:
    """What a worker tells of a job, as `Leases.note` takes it."""

    name: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    stage: str | None = None
    share_done: float | None = None
    message: str | None = None

    def __post_init__(self) -> None:
        if not _NOTE.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not the name of a worker's event")

    def said(self) -> dict[str, Any]:
        """What goes into the job as well."""
        said: dict[str, Any] = {}
        if self.stage is not None:
            said = {"stage": self.stage, "share_done": self.share_done}
        elif self.share_done is not None:
            said = {"share_done": self.share_done}
        if self.message is not None:
            said["message"] = clean_line(self.message)[:MAX_MESSAGE_CHARS]
        return said


class Leases:
    """The worker's side of the job store.

    Every method that takes a claim raises LeaseLost when the job is no longer this worker's: it then stops and writes
    nothing more, neither here nor into files. Every method may raise ServiceAway: nothing was written, try again.
    """

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def claim(self, job_id: str, worker: str, lease_s: float) -> Claim | None:
        """Take a job that is queued, or whose question was answered. None when there is nothing to take: it has ended,
        another worker has it, it waits for a person, it should have begun before now, or there is no such job.

        `lease_s`: seconds that the job stays this worker's without a `beat`; beats should come four times as often.
        Of several that claim at once one gets it.
        """
        if not is_id("job", job_id):
            return None
        now = self._clock()
        with self._database.transaction() as session:
            job = move(
                session,
                job_id,
                "running",
                now,
                _READY,
                _IN_TIME,
                given={"now": now},
                event="job.started",
                data={"worker": worker},
                values={"lease_owner": worker, "lease_until": now + timedelta(seconds=lease_s)},
                added={"attempt": 1},
            )
        return None if job is None else Claim(job, worker, lease_s)

    def beat(self, claim: Claim, used: Use = NOTHING) -> Order:
        """Keep the job for another `lease_s`, and add up what it used. `cancel`: somebody asked to stop."""
        now = self._clock()
        until = now + timedelta(seconds=claim.lease_s)
        with self._database.transaction() as session:
            used = _lacked(session, claim, used)
            row = write(
                session, claim.job_id, _HELD_BY, given=_by(claim), values={"lease_until": until}, added=_added(used)
            )
            if row is not None:
                _account(session, claim, now, used)
        if row is None:
            raise _lost(claim)
        return "cancel" if row.state == "canceling" else "go_on"

    def note(
        self,
        claim: Claim,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        stage: str | None = None,
        share_done: float | None = None,
        message: str | None = None,
    ) -> Order:
        """Write an event such as `stage.started`, and where the job is: `stage`, `share_done` (0..1 within the stage),
        `message` (one line). All three go into the job and into the event; None leaves the job's as it is, except that
        a stage without a share makes the share unknown. Does not extend the lease. The answer is that of `beat`.
        """
        note = Note(name, self._clock(), data or {}, stage=stage, share_done=share_done, message=message)
        return self.tell(claim, (note,))

    def tell(self, claim: Claim, notes: Sequence[Note], used: Use = NOTHING) -> Order:
        """Write several notes at once, in their order, each as `note` does; and what was used."""
        told = []
        values: dict[str, Any] = {}
        for note in notes:
            said = note.said()
            values |= said
            told.append((note.name, note.at, said | dict(note.data)))
        with self._database.transaction() as session:
            used = _lacked(session, claim, used)
            state = tell(session, claim.job_id, told, _HELD_BY, given=_by(claim), values=values, added=_added(used))
            if state is not None:
                _account(session, claim, self._clock(), used)
        if state is None:
            raise _lost(claim)
        return "cancel" if state == "canceling" else "go_on"

    def has_told(self, claim: Claim, note: Note) -> bool:
        """Whether that note is written: for who does not know what became of a `tell`."""
        wanted = select(JobEventRow.id).where(
            JobEventRow.job_id == claim.job_id, JobEventRow.name == note.name, JobEventRow.at == note.at
        )
        with self._database.reading() as session:
            return session.scalars(wanted.limit(1)).one_or_none() is not None

    def ask(
        self,
        claim: Claim,
        question: Mapping[str, Any],
        deadline: datetime | None = None,
        on_timeout: OnTimeout = "cancel",
        used: Use = NOTHING,
    ) -> Job:
        """Ask a person and let go of the job: it awaits input, under a new `request_id`.

        `deadline`: if nobody answers by then, `approve` answers `{"decision": "approve"}`, `cancel` lets the job
        expire. RunCanceled when somebody asked to stop: the claim is still held; `finish(claim, "canceled")` ends it.
        """
        now = self._clock()
        request_id = new_id("req", now)
        with self._database.transaction() as session:
            used = _lacked(session, claim, used)
            job = move(
                session,
                claim.job_id,
                "awaiting_input",
                now,
                _HELD_BY,
                given=_by(claim),
                data={"request_id": request_id, "asks": question.get("asks")},
                values={
                    "question": dict(question),
                    "request_id": request_id,
                    "input_deadline": deadline,
                    "on_timeout": on_timeout,
                    "answer": None,
                    "answered_at": None,
                },
                added=_added(used),
            )
            if job is None and self._held(session, claim):
                raise RunCanceled(claim.job_id, "was canceled while it worked.")
            if job is not None:
                _account(session, claim, now, used)
        if job is None:
            raise _lost(claim)
        return job

    def finish(
        self,
        claim: Claim,
        state: Ending,
        *,
        result: Mapping[str, Any] | None = None,
        error: InterleafError | None = None,
        used: Use = NOTHING,
    ) -> Job:
        """End the job. `result` is JSON-simple; `error` is required for failed, and refused for succeeded.

        Call it inside the `database.transaction()` that writes documents and artifacts: they are then there exactly
        if the job ended so. A job that is being canceled and ends as `incomplete` is canceled, with its result.
        """
        if (state == "failed") != (error is not None) and state in ("failed", "succeeded"):
            raise ValueError(f"{state} and error {error!r} do not go together")
        now = self._clock()
        values = {
            "result": None if result is None else dict(result),
            "error": None if error is None else error_to_record(error),
        }
        data = {"code": error.code} if error is not None else {}
        fence, given = _HELD_BY, _by(claim)
        with self._database.transaction() as session:
            used = _lacked(session, claim, used)
            added = _added(used)
            job = None
            if state == "canceled":
                # There is no way from running to canceled but this: with its event in between, or it was there before.
                move(session, claim.job_id, "canceling", now, fence, given=given, sources=("running",))
            else:
                job = move(session, claim.job_id, state, now, fence, given=given, data=data, values=values, added=added)
            if job is None and state in ("canceled", "incomplete"):
                job = move(
                    session, claim.job_id, "canceled", now, fence, given=given, data=data, values=values, added=added
                )
            if job is None:
                raise _lost(claim)
            _account(session, claim, now, used)
        return job

    def release(self, claim: Claim, used: Use = NOTHING) -> Job:
        """Give the job back because the worker stops cleanly: queued again, and not counted as a failed attempt.

        A job that is being canceled is canceled.
        """
        now = self._clock()
        given = _by(claim)
        with self._database.transaction() as session:
            used = _lacked(session, claim, used)
            added = _added(used)
            job = move(
                session,
                claim.job_id,
                "queued",
                now,
                _HELD_BY,
                given=given,
                event="job.requeued",
                data={"reason": "released"},
                added=added,
            ) or move(session, claim.job_id, "canceled", now, _HELD_BY, given=given, added=added)
            if job is None:
                raise _lost(claim)
            _account(session, claim, now, used)
        return job

    def _held(self, session: Session, claim: Claim) -> bool:
        wanted = select(JobRow.id).where(JobRow.id == claim.job_id, _HELD_BY)
        return session.scalar(wanted, _by(claim)) is not None


# What may be claimed: queued, or answered by a person; not what should have begun before now.
_READY: Final = or_(JOBS.state == "queued", JOBS.answered_at.is_not(None))
_IN_TIME: Final = or_(
    JOBS.expires_at.is_(None),
    JOBS.expires_at > bindparam("now", type_=JOBS.expires_at.type),
    JOBS.started_at.is_not(None),
)
# The fence: still that attempt of that worker.
_HELD_BY: Final = and_(
    JOBS.attempt == bindparam("held_attempt"),
    JOBS.lease_owner == bindparam("held_by"),
    state_is("running", "canceling"),
)


def _by(claim: Claim) -> dict[str, Any]:
    return {"held_attempt": claim.attempt, "held_by": claim.worker}


def _lacked(session: Session, claim: Claim, used: Use) -> Use:
    """What the job does not have yet of a use: a report whose answer was lost may have arrived."""
    if used.in_all is None:
        return used
    wanted = select(JobRow.seconds_used, JobRow.tokens_used).where(JobRow.id == claim.job_id, _HELD_BY)
    row = session.execute(wanted.with_for_update(), _by(claim)).one_or_none()
    if row is None:  # the job is not this worker's any more: what follows is refused
        return used
    # Only the holder adds to it, so since the claim it grew by what this attempt reported.
    return Use(
        max(0.0, claim.job.seconds_used + used.in_all.seconds - row.seconds_used),
        max(0, claim.job.tokens_used + used.in_all.tokens - row.tokens_used),
    )


def _added(used: Use) -> dict[str, float]:
    return {"seconds_used": used.seconds, "tokens_used": used.tokens}


def _account(session: Session, claim: Claim, now: datetime, used: Use) -> None:
    """What `_added` wrote into the job, for the owner of it."""
    account(session, claim.job.owner, now, Amounts(seconds=used.seconds, tokens=used.tokens))


def _lost(claim: Claim) -> LeaseLost:
    return LeaseLost(
        claim.job_id, f"attempt {claim.attempt} of {claim.worker} no longer holds it.", "Stop and write nothing more."
    )
