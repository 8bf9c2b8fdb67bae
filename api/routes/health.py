"""Health: whether the process lives, and whether it can do its work; told to anybody, without details."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.door import TheDoor
from api.openapi import problems
from api.reply import reply
from interleaf.errors import NotReady, ServiceAway

__all__ = ["router"]

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """A sign of life."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """What it can do now."""

    status: Literal["ok", "degraded"] = Field(description="degraded: jobs are taken in, and begin later")
    away: list[Literal["queue"]] = Field(description="What it has to do without")


@router.get("/healthz", response_model=Health, operation_id="getHealth", summary="Is the process alive?")
async def healthz() -> Response:
    """Asks nobody else."""
    return reply(Health())


@router.get(
    "/readyz",
    response_model=Readiness,
    operation_id="getReadiness",
    summary="Can it take requests?",
    responses=problems(500, 503),
)
async def readyz(door: TheDoor) -> Response:
    """Asks the database and the file store, without which there is nothing to be had, and the queue, without which
    jobs wait until it is back."""

    def ask() -> None:
        for name, look in (
            ("database", door.database.require_schema),
            ("file store", lambda: door.store.exists("ready/asked")),
        ):
            try:
                look()
            except ServiceAway as error:
                raise NotReady(name, "is away.", "The service's log says more.") from error

    await door.threads.run(ask)
    if await door.queue.answers():
        return reply(Readiness(status="ok", away=[]))
    return reply(Readiness(status="degraded", away=["queue"]))
