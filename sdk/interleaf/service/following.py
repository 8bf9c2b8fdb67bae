"""Following: the events of a job to its end, over as many connections as it takes."""

from __future__ import annotations

import json
import time
from typing import Final

from interleaf.errors import InterleafError, ServiceError
from interleaf.service.call import ask, passing_error
from interleaf.service.calls import Calls
from interleaf.service.retry_after import retry_after_s
from interleaf.service.service_problem import error_of_answer
from interleaf.service.service_records import JobEvent
from interleaf.service.sse import Frame, FrameParser
from interleaf.service.steps import Answer, ConnectionLost, Give, Listen, Pause, Steps, Take

__all__ = ["follow"]

# The service sends a heartbeat each 15 seconds; a connection that misses three is dead.
IDLE_S: Final = 45.0


def follow(calls: Calls, job_id: str, after: int) -> Steps[None]:
    """Gives every JobEvent after that id once, in order, until the one that ends the job. Where the service no longer
    keeps the next ones it gives `gap`. Raises what stays an error, and when nothing came for `away_s`."""
    retrying = calls.retrying
    position, failures, heard_at = after, 0, time.monotonic()
    while True:
        wait_s: float | None = None
        error: InterleafError | None = None
        parser = FrameParser()
        try:
            answer: Answer = yield Listen(calls.stream_job_events(job_id, position, IDLE_S))
            if answer.status >= 300:
                error = error_of_answer(answer.status, answer.headers, answer.body)
                if not passing_error(answer, error):
                    raise error
                wait_s = retry_after_s(answer.headers)
            else:
                while piece := (yield Take()):
                    for frame in parser.feed(piece):
                        event = _event(frame)
                        if event.id <= position and event.name != "gap":
                            continue  # it has been given
                        position = max(position, event.id)
                        yield Give(event)
                        if event.final:
                            return
                    if parser.alive:
                        failures, heard_at = 0, time.monotonic()
        except ConnectionLost as broken:
            error = broken
        if error is None and not parser.alive:
            # The service closed at once: there may be nothing after the position, ever.
            rest = yield from ask(calls.list_job_events(job_id, position, 1), retrying)
            if rest.ended and not rest.data:
                return
        failures += 1
        pause_s = retrying.pause_s(failures, wait_s)
        if time.monotonic() - heard_at + pause_s > retrying.away_s:
            raise error or ServiceError(f"events of {job_id}", "are closed again and again.", "Look at the job.")
        yield Pause(pause_s)


def _event(frame: Frame) -> JobEvent:
    try:
        if frame.name == "gap":
            return JobEvent.model_validate({"id": frame.id, "name": "gap", "data": json.loads(frame.data)})
        return JobEvent.model_validate_json(frame.data)
    except (ValueError, RecursionError) as error:  # pydantic's ValidationError is a ValueError
        raise ServiceError("events", "one is not as this version expects it.", "Is this the service?") from error
