"""Paging: lists by cursor: the next page begins after an id, however many things came in between."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, Generic, Literal, Protocol, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field

from api.reply import reply
from interleaf.errors import InvalidRequest, shown
from workers.store.ids import IdKind, require_id
from workers.store.schedule import moment_of_run

__all__ = ["LINKS", "Page", "Position", "day_of", "link_of", "listed", "page_of", "positions"]

V = TypeVar("V", bound=BaseModel)

LINKS: Final[dict[str, Any]] = {
    "Link": {"schema": {"type": "string"}, "description": "first, next and prev: addresses of other pages (RFC 8288)"}
}
# An answer's headers have a limit in every client; links to a list with a longer query are left out.
MAX_QUERY_CHARS: Final = 4_000
_PICTURE_ID: Final = re.compile("[0-9a-f]{64}")
_NUMBER: Final = re.compile("[1-9][0-9]{0,8}")
_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


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
    path: str
    filters: tuple[tuple[str, str], ...]
    """What else the request's query says, in its order."""


_Kind = IdKind | Literal["picture", "version", "run", "item", "day"]


def positions(kind: _Kind) -> Any:
    """A dependency that reads `limit`, `after` and `before` of a list of such ids. InvalidRequest names the field."""

    async def position(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=100, description="How many at most")] = 20,
        after: Annotated[str | None, Query(description="Id of the last one of the page before")] = None,
        before: Annotated[str | None, Query(description="Id of the first one of the page after")] = None,
    ) -> Position:
        if after is not None and before is not None:
            raise InvalidRequest("before", "cannot be used together with after.", "Leave one of them out.")
        for name, given in (("after", after), ("before", before)):
            if given is not None:
                _require(kind, given, name)
        return Position(limit, after, before, request.url.path, _filters(request))

    return Depends(position)


def day_of(given: str, name: str) -> date:
    """A day as it is written here: YYYY-MM-DD. InvalidRequest names the parameter."""
    try:
        if _DAY.fullmatch(given):
            return date.fromisoformat(given)
    except ValueError:  # the 31st of February; refused like all else
        pass
    raise InvalidRequest(name, f"{shown(given)!r} is no day.", "Write it as 2026-01-31.")


def _require(kind: _Kind, given: str, name: str) -> None:
    if kind == "run":
        moment_of_run(given, name)
    elif kind == "day":
        day_of(given, name)
    elif kind == "version" or kind == "item":  # apart, so that the checker sees what is left
        if not _NUMBER.fullmatch(given):
            raise InvalidRequest(name, f"{shown(given)!r} is not the number of one.", "Give a number such as 3.")
    elif kind != "picture":
        require_id(kind, given, name)
    elif not _PICTURE_ID.fullmatch(given):
        raise InvalidRequest(name, f"{shown(given)!r} is not a picture's id.", "Give an id as it was told.")


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


def listed(page: Page[Any], at: Position) -> Response:
    """The page as an answer, with links to its neighbours."""
    steps: dict[str, tuple[tuple[str, str], ...]] = {"first": ()}
    backwards = at.before is not None
    if page.last_id is not None and (backwards or page.has_more):
        steps["next"] = (("after", page.last_id),)
    if page.first_id is not None and (page.has_more if backwards else at.after is not None):
        steps["prev"] = (("before", page.first_id),)
    own = (*at.filters, ("limit", str(at.limit)))
    return reply(page, headers=link_of(at.path, {rel: own + cursor for rel, cursor in steps.items()}))


def link_of(path: str, queries: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, str]:
    """The header Link: by relation, a query of that path. No header where the queries are too long for one."""
    told = [f'<{path}?{urlencode(query)}>; rel="{rel}"' for rel, query in queries.items()]
    return {"Link": ", ".join(told)} if sum(map(len, told)) <= MAX_QUERY_CHARS else {}


def _filters(request: Request) -> tuple[tuple[str, str], ...]:
    cursor = ("limit", "after", "before")
    return tuple((name, value) for name, value in request.query_params.multi_items() if name not in cursor)
