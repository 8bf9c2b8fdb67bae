"""Selection: a PictureFilter as an SQL condition over the catalog, so that filters hold before ranking."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from interleaf.schema import PictureFilter

__all__ = ["selection"]


def selection(where: PictureFilter, licences: Iterable[str | None]) -> tuple[str, list[Any]]:
    """(condition over the table `pictures`, its values).

    `licences` are the distinct licences in the catalog: the policy is asked once for each of them,
    and SQL gets the list of those it permits.
    """
    parts = ["width_px >= ?", "height_px >= ?"]
    values: list[Any] = [where.min_width_px, where.min_height_px]

    permitted = [licence for licence in licences if where.licence_policy.permits(licence)]
    named = sorted(licence for licence in permitted if licence is not None)
    parts.append("(licence IN (SELECT value FROM json_each(?)) OR (? AND licence IS NULL))")
    values += [json.dumps(named), None in permitted]

    if where.collections is not None:
        parts.append("number IN (SELECT number FROM memberships WHERE collection IN (SELECT value FROM json_each(?)))")
        values.append(json.dumps(sorted(set(where.collections))))
    if where.exclude_ids:
        parts.append("id NOT IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(sorted(set(where.exclude_ids))))
    if where.only_ids is not None:
        parts.append("id IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(sorted(set(where.only_ids))))
    return " AND ".join(parts), values
