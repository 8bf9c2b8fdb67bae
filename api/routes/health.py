"""Health: whether the process lives, and whether it can do its work; told to anybody, without details."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.door import TheDoor
from api.openapi import problems
from api.reply import reply

__all__ = ["router"]

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """A sign of life."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", response_model=Health, operation_id="getHealth", summary="Is the process alive?")
async def healthz() -> Response:
    """Asks nobody else."""
    return reply(Health())


@router.get(
    "/readyz",
    response_model=Health,
    operation_id="getReadiness",
    summary="Can it take requests?",
    responses=problems(500, 503),
)
async def readyz(door: TheDoor) -> Response:
    """Asks the database and the file store. The queue is not needed to take a job in, so it is not asked."""

    def ask() -> None:
        door.database.require_schema()
        door.store.exists("ready/asked")

    await door.threads.run(ask)
    return reply(Health())
