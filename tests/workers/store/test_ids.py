"""Ids: they sort by time, carry it, cannot be guessed or confused with anything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interleaf.errors import InvalidRequest
from workers.store.ids import ID_CHARS, first_id, is_id, made_at, new_id, require_id

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
times = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))


@given(times, times)
def test_ids_sort_as_their_milliseconds(one: datetime, other: datetime) -> None:
    a, b = new_id("job", one), new_id("job", other)
    assert made_at(a) <= one < made_at(a) + timedelta(milliseconds=1)
    if made_at(a) != made_at(b):
        assert (a < b) == (one < other)


@given(times, times)
def test_the_first_id_of_a_time_parts_earlier_ids_from_later_ones(at: datetime, made: datetime) -> None:
    # An id is of its whole millisecond: that is the time which the store writes down as its creation.
    made = made_at(new_id("job", made))
    assert (new_id("job", made) >= first_id("job", at)) == (made >= at)


@given(times)
def test_every_id_has_one_length_and_is_one_of_its_kind_only(at: datetime) -> None:
    for text in (new_id("doc", at), first_id("doc", at)):
        assert len(text) == ID_CHARS
        assert is_id("doc", text)
        assert not is_id("job", text)


def test_ids_of_one_millisecond_differ_and_tell_nothing_of_one_another() -> None:
    made = {new_id("job", NOW) for _ in range(1000)}
    assert len(made) == 1000
    # 80 random bits: no two share the last ten characters, as a counter's successors would share most of them.
    assert len({text[-10:-4] for text in made}) > 990


def test_the_time_zone_makes_no_difference() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    assert made_at(new_id("job", east)) == made_at(new_id("job", NOW))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        new_id("job", datetime(2026, 1, 1))


@pytest.mark.parametrize(
    "text",
    ["", "job_", "job", *(f"job_{body}" for body in ("0" * 25, "0" * 27, "8" + "0" * 25, "U" * 26, "0" * 26 + "\n"))],
)
def test_what_is_not_written_as_an_id_is_refused_by_name(text: str) -> None:
    assert not is_id("job", text)
    with pytest.raises(InvalidRequest, match="after"):
        require_id("job", text, "after")


@given(st.text(max_size=40))
def test_no_text_is_an_id_by_chance(text: str) -> None:
    assert is_id("job", text) == (text.startswith("job_") and len(text) == ID_CHARS and _decodes(text))


def _decodes(text: str) -> bool:
    try:
        made_at(text)
    except ValueError:
        return False
    return True
