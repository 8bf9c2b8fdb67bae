"""Batch order: what an owner says of a batch: a brief with placeholders, and the pieces that are to come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from interleaf.brief_file import brief_from
from interleaf.errors import InvalidRequest, shown
from interleaf.schema import Brief
from interleaf.text import clean_line
from workers.store.job_label import MAX_METADATA, require_external_id, require_metadata
from workers.store.placeholders import filled, of_run, require_variables
from workers.store.schedule_order import brief_uploads

__all__ = [
    "BATCH",
    "ITEM",
    "MAX_CHARS",
    "MAX_ITEMS",
    "MAX_NAME_CHARS",
    "MAX_SEED",
    "MAX_VARIANTS",
    "MIN_VARIANTS",
    "BatchKind",
    "BatchOrder",
    "OrderedItem",
    "brief_of_fields",
    "chars_in",
    "fields_of_item",
]

BatchKind = Literal["sets", "variants"]

MAX_ITEMS: Final = 1_000
MIN_VARIANTS: Final = 2
MAX_VARIANTS: Final = 50
MAX_SEED: Final = 2**31 - 1
MAX_NAME_CHARS: Final = 200
MAX_CHARS: Final = 2**26
"""Of the texts of all briefs of a batch together, filled in: a small body must not become a large database."""

BATCH: Final = "batch"
"""In a job's metadata: the id of the batch that ordered it."""
ITEM: Final = "item"
"""In a job's metadata: the item's custom id."""
SEED: Final = "seed"


@dataclass(frozen=True)
class OrderedItem:
    """One piece: what its owner calls it, and what the placeholders stand for."""

    custom_id: str
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchOrder:
    """The pieces of one brief."""

    kind: BatchKind
    brief: Mapping[str, Any]
    """The fields of a brief; its texts may hold placeholders."""
    items: Sequence[OrderedItem]
    name: str = ""
    """A label for people; it may be empty."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Every job of the batch has it, too."""

    @classmethod
    def of_variants(
        cls, brief: Mapping[str, Any], count: int, first_seed: int = 0, name: str = "", **more: Any
    ) -> BatchOrder:
        """The brief `count` times, with seeds that rise by one. InvalidRequest when there are too few or too many."""
        if not MIN_VARIANTS <= count <= MAX_VARIANTS:
            raise InvalidRequest("variants", f"{count} is out of range.", f"Give {MIN_VARIANTS} to {MAX_VARIANTS}.")
        if not 0 <= first_seed <= MAX_SEED - count:
            raise InvalidRequest("first_seed", f"{first_seed} is out of range.", f"Give 0 to {MAX_SEED - count}.")
        seeds = range(first_seed, first_seed + count)
        return cls("variants", brief, [OrderedItem(f"seed-{seed}", {SEED: seed}) for seed in seeds], name, **more)

    def require(self) -> None:
        """InvalidRequest names a field that is wrong. What is wrong with the brief of an item is that item's error and
        asked apart (`brief_of_item`)."""
        if len(self.name) > MAX_NAME_CHARS or self.name != clean_line(self.name):
            raise InvalidRequest("name", "is no label.", f"Give one line of up to {MAX_NAME_CHARS} characters.")
        if not 1 <= len(self.items) <= MAX_ITEMS:
            raise InvalidRequest("items", f"has {len(self.items)}.", f"Give 1 to {MAX_ITEMS}.")
        seen: set[str] = set()
        for place, item in enumerate(self.items):
            try:
                require_external_id(item.custom_id)
            except InvalidRequest as error:
                raise InvalidRequest(f"items[{place}].custom_id", error.problem, "Give it a name.") from error
            if item.custom_id in seen:
                raise InvalidRequest(
                    f"items[{place}].custom_id", f"{shown(item.custom_id)!r} is there twice.", "Name each item apart."
                )
            seen.add(item.custom_id)
        require_metadata(self.metadata)
        for name in (BATCH, ITEM):
            if name in self.metadata:
                raise InvalidRequest(f"metadata.{name}", "is said by the service.", "Use another name.")
        if len(self.metadata) > MAX_METADATA - 2:
            raise InvalidRequest(
                "metadata", f"has {len(self.metadata)} pairs.", f"Give at most {MAX_METADATA - 2}: two more are added."
            )


def fields_of_item(
    kind: BatchKind, brief: Mapping[str, Any], variables: Mapping[str, Any], made_at: datetime, number: int
) -> dict[str, Any]:
    """The fields of an item's brief, filled in. `{{ date }}` and its like are of the batch's making, in UTC;
    `{{ number }}` is the item's, from 1.

    InvalidRequest names the variable that is none, or the place of a placeholder that nothing stands for (`brief.…`).
    """
    require_variables(variables)
    for name, value in variables.items():
        if isinstance(value, list | tuple):
            raise InvalidRequest(f"variables.{name}", "is a list.", "Give an item one value of each name.")
    fields = filled(brief, of_run(variables, made_at, "UTC", number))
    return {**fields, SEED: variables[SEED]} if kind == "variants" else dict(fields)


def brief_of_fields(fields: Mapping[str, Any]) -> Brief:
    """The brief of an item, checked as one that comes over the network. InvalidBrief names the first wrong field."""
    found = brief_from(fields)
    brief_uploads(found)
    return found


def chars_in(value: Any) -> int:
    """How many characters the texts of a JSON value have."""
    if isinstance(value, str):
        return len(value)
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return sum(map(chars_in, parts))
