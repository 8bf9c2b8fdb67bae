"""Call: one request of an operation and how its answer is read, and the steps that send it until it is settled."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from interleaf.errors import InterleafError, RequestInProgress, ServiceAway, ServiceError
from interleaf.service.retry_after import retry_after_s
from interleaf.service.retrying import Retrying
from interleaf.service.service_problem import error_of_answer
from interleaf.service.steps import Answer, ConnectionLost, Exchange, Pause, Sending, Steps

__all__ = ["Call", "Settled", "ask", "passing_error", "reads"]

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
# A proxy says so of a service that did not answer it: the request may have arrived there.
UNANSWERED: Final = frozenset({502, 504})
PASSING: Final = frozenset({429, 503}) | UNANSWERED


@dataclass(frozen=True)
class Settled(Generic[T]):
    """What a request came to whose answer was lost."""

    value: T


@dataclass(frozen=True)
class Call(Generic[T]):
    """`again`: what sending it twice does. `harmless`: nothing more; `named`: nothing, under one Idempotency-Key;
    `twice`: it would be done twice, so it is sent again only if it cannot have arrived."""

    sending: Sending
    read: Callable[[Answer], T]
    again: Literal["harmless", "named", "twice"] = "harmless"
    idempotency_key: str | None = None
    settle: Callable[[InterleafError], Steps[Settled[T] | None]] | None = field(default=None, compare=False)
    """After an answer that was lost, a refusal may mean that it was done: finds out, or gives None."""


def reads(model: type[M]) -> Callable[[Answer], M]:
    """Reads an answer's JSON as that record. ServiceError when it is none."""

    def read(answer: Answer) -> M:
        try:
            return model.model_validate_json(answer.body)
        except ValidationError as error:
            raise ServiceError(
                "the answer", f"is no {model.__name__} that this version knows.", "Is this the service's address?"
            ) from error

    return read


def ask(call: Call[T], retrying: Retrying) -> Steps[T]:
    """Send until there is an answer that stays, within the limits of `retrying`."""
    sending = call.sending
    if call.again == "named":
        name = call.idempotency_key or str(uuid.uuid4())
        sending = replace(sending, headers={**sending.headers, "Idempotency-Key": name})
    began, failures, lost = time.monotonic(), 0, False
    while True:
        wait_s: float | None = None
        error: InterleafError
        try:
            answer: Answer = yield Exchange(sending)
        except ConnectionLost as broken:
            error = broken
            lost = lost or broken.sent
            if broken.sent and call.again == "twice":
                raise _unknown_outcome(broken.thing) from broken
        else:
            if answer.status < 300:
                return call.read(answer)
            error = error_of_answer(answer.status, answer.headers, answer.body)
            if answer.status in UNANSWERED:
                lost = True
                if call.again == "twice":
                    raise _unknown_outcome(error.message) from error
            if lost and call.settle is not None:
                found = yield from call.settle(error)
                if found is not None:
                    return found.value
            if not passing_error(answer, error):
                raise error
            wait_s = retry_after_s(answer.headers)
        failures += 1
        pause_s = retrying.pause_s(failures, wait_s)
        if failures >= retrying.attempts or time.monotonic() - began + pause_s > retrying.within_s:
            raise error
        yield Pause(pause_s)


def passing_error(answer: Answer, error: InterleafError) -> bool:
    """Whether the same request may go well a little later."""
    return answer.status in PASSING or isinstance(error, RequestInProgress)


def _unknown_outcome(where: str) -> ServiceAway:
    problem = "broke off before it answered; the request may have been carried out."
    return ServiceAway(where, problem, "Look before repeating it.")
