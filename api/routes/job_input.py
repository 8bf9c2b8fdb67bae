"""Job input: what a job asks a person, and the person's answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict, Field

from api.door import Reader, TheDoor, Writer
from api.openapi import problems
from api.reply import reply
from api.routes.answer_schema import answer_schema
from api.routes.job_view import JobView, job_view
from api.strict_json import StrictRoute
from interleaf.errors import InvalidBrief, InvalidRequest, ObjectUnknown
from interleaf.schema import Outline

__all__ = ["router"]

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)


class Question(BaseModel):
    """What a job asks."""

    job_id: str
    request_id: str = Field(description="Names the question; the answer repeats it")
    asks: str | None = Field(description="outline or pictures")
    question: dict[str, Any] = Field(description="The outline, or the places with their pictures and alternatives")
    actions: list[Literal["approve", "edit", "cancel"]]
    answer_schema: dict[str, Any] = Field(description="JSON Schema (2020-12) of the body that answers it")
    deadline: datetime | None
    on_timeout: Literal["approve", "cancel"] | None = Field(description="What happens when nobody answers by then")


class PersonsAnswer(BaseModel):
    """A person's answer."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(max_length=64)
    action: Literal["approve", "edit", "cancel"]
    outline: Outline | None = Field(None, description="With edit, when the outline was asked for: the outline to use")
    pictures: dict[str, str | None] | None = Field(
        None, max_length=1_000, description="With edit: place → id of one of its alternatives, or null for no picture"
    )


ANSWERS: Any = {
    "approve": {
        "summary": "Go on with it",
        "value": {"request_id": "req_01kaj5v1c8m2n4p6q8r0s2t4v6", "action": "approve"},
    },
    "edit": {
        "summary": "Go on with another outline",
        "value": {
            "request_id": "req_01kaj5v1c8m2n4p6q8r0s2t4v6",
            "action": "edit",
            "outline": {"title": "Tides", "sections": [{"heading": "The moon"}]},
        },
    },
}


@router.get("/{job_id}/input", response_model=Question, operation_id="getJobInput", summary="See what a job asks")
async def get_input(job_id: str, door: TheDoor, key: Reader) -> Response:
    """404 with code object_unknown while it asks nothing."""
    job = await door.threads.run(door.jobs.get, job_id, key.id)
    if job.state != "awaiting_input" or job.answered_at is not None or job.request_id is None:
        raise ObjectUnknown(f"input of {job_id}", f"it asks nothing now (it is {job.state}).", "Look again later.")
    question = dict(job.question or {})
    said = question.get("asks")
    return reply(
        Question(
            job_id=job.id,
            request_id=job.request_id,
            asks=said if isinstance(said, str) else None,
            question=question,
            actions=["approve", "edit", "cancel"],
            answer_schema=answer_schema(question, job.request_id),
            deadline=job.input_deadline,
            on_timeout=job.on_timeout,
        )
    )


@router.post(
    "/{job_id}/input",
    status_code=202,
    response_model=JobView,
    operation_id="answerJob",
    summary="Answer what a job asks",
    responses=problems(409),
)
async def answer(
    job_id: str, door: TheDoor, key: Writer, given: Annotated[PersonsAnswer, Body(openapi_examples=ANSWERS)]
) -> Response:
    """An answer to an old question is refused with 409; one that does not fit is refused, and the job goes on
    waiting."""
    data: dict[str, Any] = {}
    if given.action == "edit":
        if (given.outline is None) == (given.pictures is None):
            raise InvalidRequest("body.action", "an edit needs an outline or pictures.", "Give one of the two.")
        if given.outline is not None:
            data["outline"] = given.outline.model_dump(mode="json")
        else:
            data["pictures"] = given.pictures
    job = await door.threads.run(door.jobs.answer, job_id, key.id, given.request_id, given.action, data, check=_check)
    door.nudges.tell(job_id)
    return reply(job_view(job), 202)


def _check(question: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    # The workflow's own rule. It brings the workflow's library along, which only people who edit need.
    from agents.approve import check_answer

    if answer.get("decision") == "edit" and str(question.get("asks")) not in answer:
        raise InvalidBrief(str(question.get("asks")), "is what the job asks for.", "Edit that, or approve.")
    check_answer(question, dict(answer))
