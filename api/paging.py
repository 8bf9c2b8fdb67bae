"""Paging: lists by cursor: the next page begins after an id, however many things came in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from interleaf.errors import InvalidRequest
from workers.store.ids import IdKind, require_id

__all__ = ["Page", "Position", "page_of", "positions"]

V = TypeVar("V", bound=BaseModel)


class _Named(Protocol):
    @property
    def id(self) -> str: ...


N = TypeVar("N", bound=_Named)


class Page(BaseModel, Generic[V]):
    """One page, newest first."""

    data: list[V]
    has_more: bool = Field(description="Whether there are more in the direction of reading")
    first_id: str | None = Field(description="Give it as `before` for the page of newer ones")
    last_id: str | None = Field(description="Give it as `after` for the page of older ones")


@dataclass(frozen=True)
class Position:
    """Where a page begins and how long it is."""

    limit: int
    after: str | None
    before: str | None


def positions(kind: IdKind) -> Any:
    """A dependency that reads `limit`, `after` and `before` of a list of such ids. InvalidRequest names the field."""

    async def position(
        limit: Annotated[int, Query(ge=1, le=100, description="How many at most")] = 20,
        after: Annotated[str | None, Query(description="Id of the last one of the page before")] = None,
        before: Annotated[str | None, Query(description="Id of the first one of the page after")] = None,
    ) -> Position:
        if after is not None and before is not None:
            raise InvalidRequest("before", "cannot be used together with after.", "Leave one of them out.")
        for name, given in (("after", after), ("before", before)):
            if given is not None:
                require_id(kind, given, name)
        return Position(limit, after, before)

    return Depends(position)


def page_of(
    read: Callable[[int, str | None, str | None], Sequence[N]], at: Position, show: Callable[[N], V]
) -> Page[V]:
    """The page that `read(limit, after, before)` gives: one more is read than shown, to know whether there is more."""
    found = list(read(at.limit + 1, at.after, at.before))
    has_more = len(found) > at.limit
    found = found[: at.limit]
    if at.before is not None:
        found.reverse()
    return Page[Any](
        data=[show(one) for one in found],
        has_more=has_more,
        first_id=found[0].id if found else None,
        last_id=found[-1].id if found else None,
    )
