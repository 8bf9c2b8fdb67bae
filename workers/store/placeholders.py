"""Placeholders: `{{ name }}` in the texts of a brief, filled in for each run; nothing else is understood or run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from interleaf.errors import InvalidRequest, shown

__all__ = ["BUILT_IN", "filled", "names_in", "of_run", "require_variables"]

BUILT_IN: Final = frozenset({"date", "time", "year", "month", "day", "weekday", "number"})
"""Names that every run of a schedule has: its due time in the schedule's zone, and its number from 1 on."""

MAX_NAMES: Final = 50
MAX_VALUES: Final = 10_000
MAX_VALUE_CHARS: Final = 20_000
MAX_FILLED_CHARS: Final = 2**24
"""Of all texts of a brief together."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_PLACEHOLDER: Final = re.compile(r"\{\{ {0,3}([a-z][a-z0-9_]{0,39}) {0,3}\}\}")
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def require_variables(variables: Mapping[str, Any], field: str = "variables") -> None:
    """InvalidRequest unless each is a name with a text, a number, or a list of these."""
    if len(variables) > MAX_NAMES:
        raise InvalidRequest(field, f"has {len(variables)} names.", f"Give at most {MAX_NAMES}.")
    for name, value in variables.items():
        if not _NAME.fullmatch(name):
            raise InvalidRequest(f"{field}.{shown(name)}", "is no name.", "Use a-z, 0-9 and _, a letter first.")
        if name in BUILT_IN:
            raise InvalidRequest(f"{field}.{name}", "is filled in by the service.", "Use another name.")
        values = value if isinstance(value, list | tuple) else [value]
        if not 1 <= len(values) <= MAX_VALUES:
            raise InvalidRequest(f"{field}.{name}", f"has {len(values)} values.", f"Give 1 to {MAX_VALUES}.")
        for one in values:
            if isinstance(one, bool) or not isinstance(one, str | int | float) or len(str(one)) > MAX_VALUE_CHARS:
                raise InvalidRequest(
                    f"{field}.{name}", "holds what is neither a text nor a number.", "Give texts and numbers only."
                )


def of_run(variables: Mapping[str, Any], due: datetime, time_zone: str, number: int) -> dict[str, str]:
    """What the placeholders of a run stand for. Of a list, each run takes the next value, from the first on."""
    local = due.astimezone(ZoneInfo(time_zone))
    found = {
        "date": f"{local:%Y-%m-%d}",
        "time": f"{local:%H:%M}",
        "year": f"{local:%Y}",
        "month": f"{local:%m}",
        "day": f"{local:%d}",
        "weekday": _WEEKDAYS[local.weekday()],
        "number": str(number),
    }
    for name, value in variables.items():
        found[name] = str(value[(number - 1) % len(value)] if isinstance(value, list | tuple) else value)
    return found


def names_in(value: Any) -> set[str]:
    """The names of all placeholders in the texts of a JSON value."""
    if isinstance(value, str):
        return set(_PLACEHOLDER.findall(value))
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return {name for part in parts for name in names_in(part)}


def filled(value: Any, values: Mapping[str, str], field: str = "brief") -> Any:
    """The JSON value with its texts' placeholders filled in, once: what is filled in is not looked at again.

    InvalidRequest names the place of a placeholder for which there is no value (`brief.sources[0].text`), and refuses
    texts that would grow beyond MAX_FILLED_CHARS together. Keys of objects stay as they are."""
    try:
        _require_known(value, values, field)
        grown = _grown(value, {name: len(text) for name, text in values.items()})
    except RecursionError as error:
        raise InvalidRequest(field, "is nested too deeply.", "Send flatter JSON.") from error
    if grown > MAX_FILLED_CHARS:
        raise InvalidRequest(
            field, "is too long with its placeholders filled in.", "Use long values less often, or shorten them."
        )
    return _filled(value, values)


def _require_known(value: Any, values: Mapping[str, str], place: str) -> None:
    if isinstance(value, str):
        for name in _PLACEHOLDER.findall(value):
            if name not in values:
                known = ", ".join(sorted(values)) or "none"
                raise InvalidRequest(
                    place, f"has a placeholder {name!r} that nothing stands for.", f"There are: {known}."
                )
    elif isinstance(value, Mapping):
        for key, part in value.items():
            _require_known(part, values, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            _require_known(part, values, f"{place}[{number}]")


def _grown(value: Any, lengths: Mapping[str, int]) -> int:
    """How many characters the filled texts will have: asked before a short text becomes a long one many times over."""
    if isinstance(value, str):
        return len(value) + sum(lengths[name] for name in _PLACEHOLDER.findall(value))
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return sum(_grown(part, lengths) for part in parts)


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: values[found[1]], value)
    if isinstance(value, Mapping):
        return {key: _filled(part, values) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(part, values) for part in value]
    return value
