"""Placeholders are filled in once, as text; nothing in them is run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interleaf.errors import InvalidRequest
from workers.store.placeholders import filled, names_in, of_run, require_variables

DUE = datetime(2027, 3, 28, 23, 30, tzinfo=UTC)


def test_a_run_has_its_day_in_the_schedules_zone_and_the_next_value_of_each_list() -> None:
    values = of_run({"city": ["Brest", "Cork"], "tone": "calm"}, DUE, "Europe/Berlin", 3)
    assert values["date"] == "2027-03-29" and values["weekday"] == "Monday" and values["time"] == "01:30"
    assert (values["number"], values["city"], values["tone"]) == ("3", "Brest", "calm")
    assert of_run({"city": ["Brest", "Cork"]}, DUE, "UTC", 2)["city"] == "Cork"


def test_every_text_of_a_brief_is_filled_in_and_nothing_else() -> None:
    brief = {"instruction": "{{city}} on {{ date }}", "sources": [{"text": "{{city}}!"}], "seed": 1, "{{city}}": None}
    assert filled(brief, {"city": "Brest", "date": "today"}) == {
        "instruction": "Brest on today",
        "sources": [{"text": "Brest!"}],
        "seed": 1,
        "{{city}}": None,
    }


def test_a_placeholder_that_nothing_stands_for_is_named() -> None:
    with pytest.raises(InvalidRequest, match="'town'"):
        filled({"instruction": "{{town}}"}, {"city": "Brest"})


def test_its_place_is_told() -> None:
    brief = {"sources": [{"text": "{{city}}"}, {"text": "{{town}}"}]}
    with pytest.raises(InvalidRequest) as refused:
        filled(brief, {"city": "Brest"}, "body.brief")
    assert refused.value.thing == "body.brief.sources[1].text"


def test_a_short_text_does_not_become_a_long_one_without_end() -> None:
    hostile = {"instruction": "{{a}}" * 100_000}
    with pytest.raises(InvalidRequest, match="too long"):
        filled(hostile, {"a": "x" * 20_000})  # two thousand million characters
    assert len(filled(hostile, {"a": "x" * 100})["instruction"]) == 10_000_000


def test_a_brief_without_a_floor_is_refused() -> None:
    deep: Any = "{{a}}"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidRequest, match="nested"):
        filled({"sources": deep}, {"a": "x"})


@given(st.text(), st.text())
def test_what_is_filled_in_is_not_looked_at_again(one: str, other: str) -> None:
    hostile = "{{b}} {% raw %} {{ 7*7 }} " + one
    assert filled("{{a}}|{{b}}", {"a": hostile, "b": other}) == f"{hostile}|{other}"


@given(st.text(alphabet="{} abz_%", max_size=40))
def test_text_without_placeholders_stays(text: str) -> None:
    if not names_in(text):
        assert filled(text, {}) == text


@pytest.mark.parametrize(
    "variables",
    [
        {"Bad Name": "x"},
        {"date": "x"},
        {"a": []},
        {"a": [{}]},
        {"a": None},
        {"a": True},
        {"a": "x" * 20_001},
        {f"n{k}": "x" for k in range(51)},
    ],
)
def test_variables_that_are_none(variables: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        require_variables(variables)
