"""Problems of the service become the errors that they were; answers of others become errors that say so."""

from __future__ import annotations

import json

import pytest

from api.problems import problem_of
from interleaf import errors
from interleaf.errors import InterleafError, NeedsInput, RequestRefused, ServiceAway, ServiceError
from interleaf.service.service_problem import error_of_answer

KINDS = [getattr(errors, name) for name in errors.__all__ if isinstance(getattr(errors, name), type)]
KINDS = [kind for kind in KINDS if issubclass(kind, InterleafError) and kind not in (InterleafError, NeedsInput)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_comes_through_as_itself(kind: type[InterleafError]) -> None:
    error = kind("thing", "is wrong.", "Mend it.")
    problem = problem_of(error, "r1")
    there = error_of_answer(problem.status, {}, problem.model_dump_json(exclude_none=True).encode())
    assert (type(there), there.request_id) == (kind, "r1")
    if problem.status < 500:  # what failed inside the service is not told to strangers
        assert there.message == error.message


def test_a_code_of_a_newer_service_goes_by_its_status() -> None:
    def told(status: int) -> InterleafError:
        body = {"status": status, "code": "unheard_of", "detail": "no: not now."}
        return error_of_answer(status, {}, json.dumps(body).encode())

    assert [type(told(status)) for status in (422, 418, 503, 500)] == [
        RequestRefused,
        RequestRefused,
        ServiceAway,
        ServiceError,
    ]
    assert told(422).message == "no: not now."


@pytest.mark.parametrize("body", [b"", b"<html>\x1b[31m", b"[]", b"[" * 100_000, b"\xff", b'{"code": 1}'])
def test_what_is_no_problem_is_shown_safely(body: bytes) -> None:
    error = error_of_answer(502, {"x-request-id": "r2"}, body)
    assert isinstance(error, ServiceAway)
    assert error.request_id == "r2"
    assert "502" in error.message
    assert error.message.isprintable()
