"""Batch steps: what takes several requests of a batch: its brief's files sent, its end waited for, its results read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from interleaf.errors import InterleafError, JobActive, ServiceError
from interleaf.service import batch_calls
from interleaf.service.batch_records import BatchLine, BatchRecord, BatchResult
from interleaf.service.call import ask, passing_error
from interleaf.service.calls import Calls
from interleaf.service.job_steps import FIRST_POLL_S, MOST_POLL_S, GivenBrief
from interleaf.service.retry_after import retry_after_s
from interleaf.service.schedule_steps import sent_template
from interleaf.service.service_problem import error_of_answer
from interleaf.service.steps import Answer, ConnectionLost, Give, Listen, Pause, Steps, Take

__all__ = ["GivenBatch", "create", "id_of", "results", "wait"]

GivenBatch = BatchLine | str
"""A batch, or its id."""


def id_of(batch: GivenBatch) -> str:
    """The batch's id."""
    return batch if isinstance(batch, str) else batch.id


def create(
    calls: Calls, brief: GivenBrief, base: Path | None, said: Mapping[str, Any], idempotency_key: str | None
) -> Steps[BatchRecord]:
    """Send the brief's files, then the batch; what is None is left to the service."""
    fields: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    fields["brief"] = yield from sent_template(calls, brief, base)
    return (yield from ask(batch_calls.create_batch(fields, idempotency_key=idempotency_key), calls.retrying))


def wait(calls: Calls, batch_id: str, timeout_s: float | None) -> Steps[BatchRecord]:
    """The batch when all of it has ended. JobActive when the time is over before."""
    began, pause_s = time.monotonic(), FIRST_POLL_S
    while True:
        batch = yield from ask(batch_calls.get_batch(batch_id), calls.retrying)
        if batch.ended:
            return batch
        left_s = float("inf") if timeout_s is None else timeout_s - (time.monotonic() - began)
        if left_s <= 0:
            raise JobActive(batch_id, f"has not ended after {timeout_s:g} s.", "It goes on; wait again, or cancel it.")
        yield Pause(min(pause_s * (0.75 + calls.retrying.chance() / 4), left_s))
        pause_s = min(pause_s * 1.5, MOST_POLL_S)


def results(calls: Calls, batch_id: str, ranked: bool) -> Steps[None]:
    """Gives a BatchResult for every item once. Where a connection broke off the rest is read anew; what was given is
    not given again. Raises what stays an error, and when nothing came for `away_s`."""
    retrying, given = calls.retrying, set[int]()
    failures, heard_at = 0, time.monotonic()
    while True:
        wait_s: float | None = None
        error: InterleafError
        rest = b""
        try:
            answer: Answer = yield Listen(batch_calls.stream_results(batch_id, ranked=ranked))
            if answer.status >= 300:
                error = error_of_answer(answer.status, answer.headers, answer.body)
                if not passing_error(answer, error):
                    raise error
                wait_s = retry_after_s(answer.headers)
            else:
                while piece := (yield Take()):
                    *lines, rest = (rest + piece).split(b"\n")
                    failures, heard_at = 0, time.monotonic()
                    for line in lines:
                        found = _result(line)
                        if found.number not in given:
                            given.add(found.number)
                            yield Give(found)
                if not rest:  # an answer that was cut off between two lines does not end without an error
                    return
                error = ConnectionLost(f"results of {batch_id}", "broke off.")
        except ConnectionLost as broken:
            error = broken
        failures += 1
        pause_s = retrying.pause_s(failures, wait_s)
        if failures >= retrying.attempts or time.monotonic() - heard_at + pause_s > retrying.away_s:
            raise error
        yield Pause(pause_s)


def _result(line: bytes) -> BatchResult:
    try:
        return BatchResult.model_validate_json(line)
    except ValidationError as error:
        raise ServiceError("results", "one is not as this version expects it.", "Is this the service?") from error
